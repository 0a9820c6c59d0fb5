"""What a person or a script sees. Results go to stdout, talk and progress to stderr; with -o json stdout holds exactly
one document."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

import typer

from hftctl.cli.called import typed
from hftctl.errors import HftctlError, Inconclusive

API_VERSION = "hftctl/v1"
SHOWN_CHARACTERS_MIN = 12
SENTENCE_CHARACTERS_MIN = 40  # in a narrower column a sentence becomes a tower of words
INDENT = 4
UNITS = "ns|us|ms|s|min|h|B|KiB|MiB|GiB|TiB"

GOOD = "32"
STYLES = {
    "ok": "32", "ready": "32", "running": "32", "healthy": "32", "create": "32",
    "warning": "33", "waiting": "33", "restarting": "33", "update": "33", "applying": "36", "reverting": "33",
    "problem": "31", "failed": "31", "missing": "31", "stopped": "31", "degraded": "31", "delete": "31",
    "restart": "33", "begun": "33",
}  # fmt: skip


class Unwritten(Inconclusive):
    """stdout takes nothing (a full disk): what was asked is done, but nobody was told."""


def document(kind: str, body: Mapping[str, Any]) -> None:
    whole = {"apiVersion": API_VERSION, "kind": kind, **body}
    put(json.dumps(whole, indent=2, default=_plain))
    flush()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence | set | frozenset):
        return list(value)
    return str(value)


def error(known: HftctlError, *, as_json: bool) -> None:
    """Of a command that failed; extra fields of the error go into its document."""
    message = str(known.message)
    if as_json:
        details = getattr(known, "details", {})
        document("Error", {"code": known.code, "message": message, "hint": known.hint, **details})
        return
    for line in typed(message).splitlines() or [message]:
        for part in laid(paint("error:", "1;31", sys.stderr), line, sys.stderr, gap=" "):
            say(part)
    if known.hint:
        hint(known.hint)


def hint(text: str) -> None:
    """Commands to type stay whole, so that they can be copied; several ways get a line each where one has no room."""
    head = "hint: "
    text = typed(text)
    ways = text.split("; ") if sys.stderr.isatty() and len(head) + len(text) > width() else [text]
    for index, way in enumerate(ways):
        more = ";" if index < len(ways) - 1 else ""
        say(f"{paint(head.rstrip(), '36', sys.stderr) + ' ' if index == 0 else ' ' * len(head)}{way}{more}")


def say(line: str = "") -> None:
    """Talk: to stderr, and never a reason to fail."""
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # nobody reads it any more; the work goes on


def put(line: str = "") -> None:
    try:
        sys.stdout.write(line + "\n")
    except OSError as error:
        raise _unwritten(error) from error


def colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if colours(stream or sys.stdout) else text


def columns(
    heads: Sequence[str], rows: Sequence[Sequence[object]], *, painted: int | None = None, cut: bool = False
) -> None:
    """Aligned columns; the last one may run on below. `painted`: the column whose words have colours. `cut`: where that
    word is a good one, a terminal gets no more of the last column than it has room for; trouble is always told whole."""
    cells = [[("-" if cell is None else str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in [list(heads), *cells]) for index in range(len(heads) - 1)]

    def head(row: Sequence[str]) -> list[str]:
        return [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]

    put(paint("  ".join([*head(heads), heads[-1]]).rstrip(), "1"))
    for row in cells:
        padded, style = head(row), STYLES.get(row[painted]) if painted is not None else None
        if painted is not None and style:
            padded[painted] = paint(row[painted], style) + " " * (widths[painted] - len(row[painted]))
        if cut and style == GOOD and sys.stdout.isatty():
            room = max(width() - sum(widths) - 2 * len(widths), SHOWN_CHARACTERS_MIN)
            row[-1] = row[-1] if len(row[-1]) <= room else f"{row[-1][: room - 1]}…"
        hanging("  ".join(padded), row[-1])


def hanging(head: str, text: str, write: Callable[[str], None] = put, *, gap: str = "  ") -> None:
    """A line with columns and a sentence; what a terminal has no room for goes on below."""
    for line in laid(head, " ".join(text.split()), sys.stderr if write is say else sys.stdout, gap=gap):
        write(line)


def laid(head: str, text: str, stream: TextIO, *, gap: str = "  ") -> list[str]:
    """Below the sentence, or below the whole line where its own column would be narrow. No word is ever broken: paths,
    addresses and commands are copied."""
    whole = f"{head}{gap}{text}".rstrip()
    before = len(re.sub(r"\x1b\[[0-9;]*m", "", head)) + len(gap)
    if not stream.isatty() or before + len(text) <= width():
        return [whole]
    room = width() - before
    beside = room >= SENTENCE_CHARACTERS_MIN and max(map(len, text.split())) <= room
    indent = before if beside else INDENT
    kept = re.sub(rf"(?<=\d) (?=(?:{UNITS})\b)", "\u00a0", text)  # a number is not parted from its unit
    lines = textwrap.wrap(
        kept, max(width() - indent, SHOWN_CHARACTERS_MIN), break_long_words=False, break_on_hyphens=False
    )
    below = [f"{' ' * indent}{line}".replace("\u00a0", " ") for line in lines]
    return [f"{head}{gap}{below[0].lstrip()}", *below[1:]] if beside else [head.rstrip(), *below]


def width() -> int:
    return shutil.get_terminal_size((80, 24)).columns


def duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def whole(body: Mapping[str, Any]) -> None:
    """A document that already says what it is."""
    document(str(body["kind"]), {key: value for key, value in body.items() if key not in {"apiVersion", "kind"}})


def flush() -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _unwritten(error) from error


def _unwritten(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return error
    return Unwritten(
        f"cannot write the result to stdout: {error.strerror}; what was asked may be done", hint="hftctl status"
    )


def ended(how: HftctlError | None, *, as_json: bool) -> None:
    """Leave with the code of how it ended, after the result was shown; a document is not followed by a second one."""
    if how is None:
        return
    if not as_json:
        flush()
        error(how, as_json=False)
    raise typer.Exit(how.exit_code)


def facts(body: Mapping[str, Any], indent: str = "") -> None:
    """A report as lines of name and value, sections indented."""
    widest = max((len(key) for key, value in body.items() if not (isinstance(value, Mapping) and value)), default=0)
    for key, value in body.items():
        if isinstance(value, Mapping) and value:
            put(f"{indent}{paint(key, '1')}")
            facts(value, indent + "  ")
        else:
            hanging(f"{indent}{key.ljust(widest)}", _shown(value))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return "-" if value in (None, "", {}) else str(value)
