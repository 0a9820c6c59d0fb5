"""A steady tick for open-loop sending. Loop timers round to whole milliseconds; the kernel's timerfd does not."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

PERIOD_NS_MIN = 100_000
PERIOD_NS_MAX = 10_000_000
FALLBACK_S = 0.001
_CLOCK_MONOTONIC, _NONBLOCK, _CLOEXEC = 1, 0o4000, 0o2000000


class Ticker:
    def __init__(self, period_ns: int, tick: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._tick = tick
        self._timer: asyncio.TimerHandle | None = None
        self._fd = _timerfd(min(max(period_ns, PERIOD_NS_MIN), PERIOD_NS_MAX))
        if self._fd is None:
            self._again()
        else:
            self._loop.add_reader(self._fd, self._read)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    def _read(self) -> None:
        if self._fd is not None:
            os.read(self._fd, 8)
            self._tick()

    def _again(self) -> None:
        self._timer = self._loop.call_later(FALLBACK_S, self._again)
        self._tick()


def _timerfd(period_ns: int) -> int | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK | _CLOEXEC)
    if fd < 0:
        return None
    times = (ctypes.c_long * 4)(0, period_ns, 0, period_ns)  # interval, then the first; seconds and nanoseconds each
    if libc.timerfd_settime(fd, 0, ctypes.byref(times), None) != 0:
        os.close(fd)
        return None
    return fd
