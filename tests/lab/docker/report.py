"""One report of several parts, each of which says by which command, on which commit and when it was made.

A part that is run again takes its own place; the others stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HEAD = "# The stack on Docker\n\nWritten by `make compose-long`, part by part (`python -m tests.lab.docker.long --parts ...`).\n"
BREAK = "\n## "


@dataclass(frozen=True)
class Part:
    """What one part showed."""

    lines: list[str]
    good: bool
    made: str  # under which conditions
    command: str

    @property
    def told(self) -> list[str]:
        return [f"**{'Good' if self.good else 'FAILED'}.** `{self.command}`", self.made]


def write(path: Path, titles: Mapping[str, str], name: str, part: Part) -> None:
    """`titles`: of all parts, in their order."""
    there = path.read_text() if path.exists() else ""
    sections = {title: body for title, _, body in (one.partition("\n") for one in there.split(BREAK)[1:])}
    sections[titles[name]] = "\n".join(["", *part.told, "", *part.lines])
    path.write_text(
        HEAD + "".join(f"{BREAK}{title}\n{sections[title]}" for title in titles.values() if title in sections)
    )
