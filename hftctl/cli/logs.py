"""hftctl logs: every component in one stream."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli import output
from hftctl.cli.clock import Clock
from hftctl.cli.options import Deployment, Follow, Format, Output, Since
from hftctl.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from hftctl.targets.base import LogLine


def logs(
    components: Annotated[
        list[str] | None, typer.Argument(metavar="COMPONENT", help="engine-0, or gateway for all gateways.")
    ] = None,
    name: Deployment = None,
    follow: Follow = False,
    since: Since = None,
    tail: Annotated[
        int | None, typer.Option("--tail", metavar="N", min=0, help="Only the newest N of those that are there.")
    ] = None,
    grep: Annotated[str | None, typer.Option("--grep", metavar="REGEX", help="Only lines that match.")] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write to a new file; .zst is compressed.")
    ] = None,
    format_: Output = Format.TEXT,
) -> None:
    """Show the logs of every component, oldest first.

    \b
    Examples:
      hftctl logs --since 10m --grep error
      hftctl logs engine gateway-1 -f --tail 20
      hftctl logs --export incident.zst
    """
    from hftctl.operations.logs import export as write
    from hftctl.operations.logs import logs as read

    if follow and (format_ is Format.JSON or export is not None):
        raise UsageError("-f never ends; it goes with neither -o json nor --export", hint="leave -f out")
    pattern = _pattern(grep) if grep is not None else None
    lines = read(name, components or (), since_s=since, follow=follow, grep=pattern, tail=tail)
    if export is not None:
        count = write(lines, export)
        if format_ is Format.JSON:
            output.document("Logs", {"file": str(export), "count": count, "lines": []})
        else:
            output.put(f"{count} lines written to {export}")
    elif format_ is Format.JSON:
        found = list(lines)
        output.document("Logs", {"file": None, "count": len(found), "lines": found})
    else:
        clock = Clock(every=False)
        try:
            for line in lines:
                output.put(_text(line, clock))
                if follow:
                    output.flush()
        except KeyboardInterrupt:
            if not follow:
                raise
            raise typer.Exit(Interrupted.exit_code) from None  # the usual way to end it, nothing to explain


def _pattern(grep: str) -> re.Pattern[str]:
    try:
        return re.compile(grep)
    except re.error as error:
        raise UsageError(f"--grep {grep!r} is no regular expression: {error}") from error


def _text(line: LogLine, clock: Clock) -> str:
    milliseconds = line.time_ns % 1_000_000_000 // 1_000_000
    return f"{clock(line.time_ns)}.{milliseconds:03d} {line.component:<12} {line.text}"
