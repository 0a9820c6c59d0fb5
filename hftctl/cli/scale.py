"""hftctl scale: more or fewer of a component."""

from __future__ import annotations

from typing import Annotated

import typer

from hftctl.cli.changing import show
from hftctl.cli.confirm import asker, command_with
from hftctl.cli.options import Bake, Deployment, DryRun, Format, LockWait, Output, Timeout, Wait, Yes


def scale(
    wanted: Annotated[list[str], typer.Argument(metavar="COMPONENT=N...", help="How many of what: gateway=4.")],
    name: Deployment = None,
    wait: Wait = True,
    bake: Bake = True,
    timeout: Timeout = None,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Run more or fewer of a component. A new revision, like a deploy.

    Your profile file stays as it is: write the number there too, or the
    next deploy of it takes it back.

    \b
    Examples:
      hftctl scale gateway=4
      hftctl scale gateway=1 -p local --yes
    """
    from hftctl.cli.progress import reporting
    from hftctl.operations.changing import scale as run

    counts = dict(map(_count, wanted))
    with reporting() as progress:
        result = run(
            name, counts, confirm=asker(yes), progress=progress, timeout_s=timeout, dry_run=dry_run, wait=wait,
            lock_wait_s=lock_wait, bake=bake, again=command_with(),
        )  # fmt: skip
    show(result, format_)


def _count(word: str) -> tuple[str, int]:
    component, _, count = word.partition("=")
    if not (component and count.isascii() and count.isdecimal() and len(count) <= 4):
        raise typer.BadParameter(f"'{word}' is not COMPONENT=N such as gateway=4")
    return component, int(count)
