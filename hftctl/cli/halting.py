"""hftctl halt and resume: the emergency stop of trading, and its release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli import output
from hftctl.cli.confirm import asker
from hftctl.cli.options import Deployment, DryRun, Format, Output, Yes

if TYPE_CHECKING:
    from hftctl.operations.halt import HaltResult


def halt(
    name: Deployment = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Goes to the journal.")] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Refuse new orders at once, over restarts too. Cancels still pass.

    \b
    Examples:
      hftctl halt --yes
      hftctl halt -p local --why 'feed is stale' --yes
    """
    from hftctl.operations.halt import halt as run

    if dry_run:
        return _planned("halt", name, format_)
    return _show(run(name, why=why, confirm=asker(yes)), format_)


def resume(
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Goes to the journal.", show_default=False)],
    name: Deployment = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Take orders again after a halt.

    \b
    Examples:
      hftctl resume --why 'feed is back'
      hftctl resume -p local --why 'checked by ana' --yes
    """
    from hftctl.operations.halt import resume as run

    if dry_run:
        return _planned("resume", name, format_)
    return _show(run(name, why=why, confirm=asker(yes)), format_)


def _planned(verb: str, name: str | None, format_: Format) -> None:
    from hftctl.operations.standing import open_standing
    from hftctl.operations.status import engines

    target = open_standing(name)
    found = engines(target.status())
    if format_ is Format.JSON:
        partitions = [{"partition": partition, "done": False} for partition in found]
        output.document(verb.capitalize(), {"deployment": target.deployment, "verb": verb, "partitions": partitions})
    else:
        output.put(f"would {verb} {len(found)} partition(s) of '{target.deployment}': {', '.join(map(str, found))}")


def _show(result: HaltResult, format_: Format) -> None:
    if format_ is Format.JSON:
        names = ("deployment", "target", "verb", "why", "partitions")
        output.document(result.verb.capitalize(), {name: getattr(result, name) for name in names})
    else:
        rows = [[p.partition, p.how, f"{p.duration_ms:.1f} ms", p.message] for p in result.partitions]
        output.columns(["PARTITION", "BY", "TOOK", "RESULT"], rows)
    output.ended(result.error, as_json=format_ is Format.JSON)
