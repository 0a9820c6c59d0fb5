"""When lines of a stream happened, in the order they come."""

from __future__ import annotations

import sys
import time

from hftctl.cli import output


class Clock:
    """A terminal gets each day once, above its first line; where lines are taken apart, `every` says whether all have it."""

    def __init__(self, *, every: bool) -> None:
        self._every = every
        self._day = ""

    def __call__(self, time_ns: int) -> str:
        at = time.localtime(time_ns / 1e9)
        day, clock = time.strftime("%Y-%m-%d", at), time.strftime("%H:%M:%S", at)
        if not sys.stdout.isatty():
            return f"{day} {clock}" if self._every else clock
        if day != self._day:
            self._day = day
            output.put(output.paint(day, "1"))
        return clock
