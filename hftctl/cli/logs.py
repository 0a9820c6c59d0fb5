"""hftctl logs: every component in one stream."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli import output
from hftctl.cli.options import Deployment, Format, Output, duration_s
from hftctl.errors import Interrupted, Refused, UsageError

if TYPE_CHECKING:
    from hftctl.targets.base import LogLine


def logs(
    components: Annotated[
        list[str] | None, typer.Argument(metavar="COMPONENT", help="engine-0, or gateway for all gateways.")
    ] = None,
    name: Deployment = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines come.")] = False,
    since: Annotated[
        float | None, typer.Option("--since", metavar="TIME", parser=duration_s, help="Only that far back: 10m, 1h.")
    ] = None,
    grep: Annotated[str | None, typer.Option("--grep", metavar="REGEX", help="Only lines that match.")] = None,
    export: Annotated[Path | None, typer.Option("--export", metavar="FILE", help="Write to a new file.")] = None,
    format_: Output = Format.TEXT,
) -> None:
    """Show the logs of every component, oldest first.

    \b
    Examples:
      hftctl logs --since 10m --grep error
      hftctl logs engine gateway-1 -f
    """
    from hftctl.operations.status import logs as read

    if follow and (format_ is Format.JSON or export is not None):
        raise UsageError("-f never ends; it goes with neither -o json nor --export", hint="leave -f out")
    lines = _matching(read(name, components or (), since_s=since, follow=follow), grep)
    if export is not None:
        count = _export(lines, export)
        if format_ is Format.JSON:
            output.document("Logs", {"file": str(export), "count": count, "lines": []})
        else:
            output.put(f"{count} lines written to {export}")
    elif format_ is Format.JSON:
        found = list(lines)
        output.document("Logs", {"file": None, "count": len(found), "lines": found})
    else:
        try:
            for line in lines:
                output.put(_text(line))
                if follow:
                    output.flush()
        except KeyboardInterrupt:
            if not follow:
                raise
            raise typer.Exit(Interrupted.exit_code) from None  # the usual way to end it, nothing to explain


def _matching(lines: Iterator[LogLine], grep: str | None) -> Iterator[LogLine]:
    if grep is None:
        return lines
    try:
        wanted = re.compile(grep)
    except re.error as error:
        raise UsageError(f"--grep {grep!r} is no regular expression: {error}") from error
    return (line for line in lines if wanted.search(line.text))


def _text(line: LogLine) -> str:
    seconds, rest = divmod(line.time_ns, 1_000_000_000)
    clock = time.strftime("%H:%M:%S", time.localtime(seconds))
    return f"{clock}.{rest // 1_000_000:03d} {line.component:<12} {line.text}"


def _export(lines: Iterator[LogLine], file: Path) -> int:
    count = 0
    try:
        with file.open("x", encoding="utf-8") as stream:
            for line in lines:
                stream.write(f"{line.time_ns} {line.component} {line.text}\n")
                count += 1
    except FileExistsError:
        raise Refused(f"{file} is already there", hint="choose another file") from None
    except OSError as error:
        raise Refused(f"cannot write {file}: {error.strerror}") from error
    return count
