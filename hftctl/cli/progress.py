"""State changes of a rollout: a live table on a terminal, one line each otherwise. Always on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hftctl.cli import output

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from hftctl.plan.execute import Progress

    Latest = dict[str, tuple[Progress, float]]  # subject -> its last word, and when it was said (monotonic)

COLOURS = {
    "ready": "green",
    "failed": "red",
    "waiting": "yellow",
    "reverting": "yellow",
    "applying": "cyan",
    "baking": "cyan",
    "watching": "cyan",
    "paused": "yellow",
}


_live: list[Live] = []  # the one that is drawn now


@contextmanager
def reporting() -> Iterator[Callable[[Progress], None]]:
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _line
        return
    latest: Latest = {}

    def note(progress: Progress) -> None:
        if not _live:
            _live.append(_drawn(latest))
        moved = progress.subject not in latest or latest[progress.subject][0].state != progress.state
        latest[progress.subject] = progress, time.monotonic()
        if moved:
            _live[0].refresh()

    try:
        yield note
    finally:
        pause()


def pause() -> None:
    """Leave what is drawn where it stands, for a question; the next change of state draws anew below it."""
    while _live:
        _live.pop().stop()


def _drawn(latest: Latest) -> Live:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    live = Live(console=console, refresh_per_second=8, get_renderable=lambda: _table(latest))
    live.start()
    return live


def _table(latest: Latest) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    for progress, since in latest.values():
        goes_on = progress.state in {"applying", "waiting", "reverting", "baking", "watching"}
        elapsed_s = progress.elapsed_s + (time.monotonic() - since if goes_on else 0.0)
        state = Text(progress.state, style=COLOURS.get(progress.state, ""))
        table.add_row(
            progress.subject,
            state,
            Text(progress.message, overflow="ellipsis", no_wrap=True),
            f"{elapsed_s:.1f} s",
        )
    return table


def _line(progress: Progress) -> None:
    if progress.figures:
        return
    output.say(f"{progress.elapsed_s:7.2f} s  {progress.subject:<14}  {progress.state:<9}  {progress.message}".rstrip())
