"""A process that was asked to end: its signals one after the other, each with its time, SIGKILL at the end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Protocol

from hftctl.targets.local.launch import Running, kill, left_of

Later = Callable[[float, Callable[[], None]], None]


class Log(Protocol):
    def __call__(self, level: str, component: str, message: str, event: str = "", **fields: object) -> None: ...


class Leaving:
    def __init__(self, running: Running, *, later: Later, log: Log) -> None:
        self.running = running
        self._later, self._log = later, log
        self._over = False
        self._step(0)

    def over(self) -> None:
        """It has ended: the signals that are left are for nobody."""
        self._over = True

    def _step(self, step: int) -> None:
        if self._over:
            return
        process = self.running.process
        if step >= len(process.stop):
            self._log(
                "warning",
                process.component,
                f"pid {self.running.pid} did not end when asked, so it is killed",
                "killed",
            )
            kill(self.running.pid)
            for pid in left_of(self.running.pid, process):
                kill(pid)
            return
        name, wait_s = process.stop[step]
        try:
            signal.pidfd_send_signal(self.running.pidfd, getattr(signal, name))
        except ProcessLookupError:
            return
        self._later(wait_s, lambda: self._step(step + 1))
