"""State changes of a rollout: a live table on a terminal, one line each otherwise. Always on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hftctl.cli import output

if TYPE_CHECKING:
    from rich.table import Table

    from hftctl.plan.execute import Progress

COLOURS = {"ready": "green", "failed": "red", "waiting": "yellow", "reverting": "yellow", "applying": "cyan"}


@contextmanager
def reporting() -> Iterator[Callable[[Progress], None]]:
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _line
        return
    from rich.console import Console
    from rich.live import Live

    latest: dict[str, Progress] = {}
    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    with Live(console=console, refresh_per_second=8, get_renderable=lambda: _table(latest)) as live:

        def note(progress: Progress) -> None:
            if progress.subject not in latest or latest[progress.subject].state != progress.state:
                latest[progress.subject] = progress
                live.refresh()
            latest[progress.subject] = progress

        yield note


def _table(latest: dict[str, Progress]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    for progress in latest.values():
        state = Text(progress.state, style=COLOURS.get(progress.state, ""))
        table.add_row(
            progress.subject,
            state,
            Text(progress.message, overflow="ellipsis", no_wrap=True),
            f"{progress.elapsed_s:.1f} s",
        )
    return table


def _line(progress: Progress) -> None:
    output.say(f"{progress.elapsed_s:7.2f} s  {progress.subject:<14}  {progress.state:<9}  {progress.message}".rstrip())
