"""hftctl diff: two revisions, or a revision and a profile or what stands, side by side."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hftctl.cli import output
from hftctl.cli.options import Deployment, Environment, Format, Output
from hftctl.errors import ChangesPending

if TYPE_CHECKING:
    from hftctl.operations.compare import Comparison

DIFF_STYLES = {"+": "32", "-": "31", "@": "36"}


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="Number of a revision, a profile, or now.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The same; what it would become.")] = "now",
    name: Deployment = None,
    environment: Environment = None,
    format_: Output = Format.TEXT,
) -> None:
    """Show what differs: profile, versions, rendered configuration. Reads only.

    A and B are numbers of revisions (hftctl history), profiles, or now: what
    stands. Exit code 3 when something differs, 0 when nothing does.

    \b
    Examples:
      hftctl diff 3 4
      hftctl diff now local.yaml
    """
    from hftctl.operations.compare import compare

    found = compare(name, before, after, environment=environment)
    if format_ is Format.JSON:
        output.document("Diff", {**asdict(found), "different": found.different})
    else:
        _text(found)
    if found.different:
        raise typer.Exit(ChangesPending.exit_code)


def _text(found: Comparison) -> None:
    if not found.different:
        output.put(f"no difference: {found.before} and {found.after} of '{found.deployment}' are the same")
        return
    output.put(f"'{found.deployment}': {found.before} -> {found.after}")
    if found.profile:
        output.put()
        rows = [[d.key, _value(d.before), _value(d.after), d.origin or "-"] for d in found.profile]
        output.columns(["KEY", "BEFORE", "AFTER", "FROM"], rows, cut=True)
    if found.versions:
        output.put()
        output.columns(["VERSION OF", "BEFORE", "AFTER"], [[d.component, d.before, d.after] for d in found.versions])
    for one in found.configuration:
        output.put()
        output.put(output.paint(f"{one.component}: {one.file}", "1"))
        for line in one.diff:
            output.put(shown(line))


def _value(value: Any) -> str:
    from hftctl.plan.diff import short

    return "(none)" if value is None else short(value)


def shown(line: str) -> str:
    """A line of a unified diff; its first character says the same as its colour."""
    return output.paint(line, DIFF_STYLES[line[:1]]) if line[:1] in DIFF_STYLES else line
