"""Start-first: a second process of a component starts on the same listening sockets as the one that runs.

It takes over when it is ready, and only then the first one is asked to end. One that dies again and again is given up:
nothing has changed for anybody, and the reason is kept for who asked.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from hftctl.targets.local.launch import Running, exit_text, launch, left_of
from hftctl.targets.local.leaving import Later, Leaving, Log
from hftctl.targets.local.process import READY_TOLD, Process

BACKOFF_S = (0.0, 0.1, 0.3)
LOOK_S = 0.02

Watch = Callable[[int, Callable[[], None]], None]  # once, when it can be read


class Replacement:
    def __init__(
        self,
        root: Path,
        process: Process,
        held: dict[str, socket.socket],
        *,
        watch: Watch,
        later: Later,
        log: Log,
        ready: Callable[[Replacement, Running], None],
        failed: Callable[[Replacement, str], None],
    ) -> None:
        self.process, self.held = process, held
        self._root, self._watch, self._later, self._log = root, watch, later, log
        self._ready, self._failed = ready, failed
        self._deaths = 0
        self._over = False  # it took over, or was given up
        self._running: Running | None = None
        self._leaving: Leaving | None = None

    def start(self) -> None:
        if self._over:
            return
        told, tell = os.pipe2(os.O_CLOEXEC)
        try:
            fds = {name: listener.fileno() for name, listener in self.held.items()}
            running = launch(self._root, self.process, fds, tell)
        except OSError as error:
            os.close(told)
            reason = f"cannot start {self.process.argv[0]}: {error.strerror} ({error.filename or 'no file'})"
            self._fail(reason)
            return
        finally:
            os.close(tell)
        self._running = running
        running.on_end = self._ended
        self._log("info", self.process.component, f"pid {running.pid} starts beside the one that runs")
        self._watch(running.pidfd, lambda: running.on_end(running))
        self._watch(told, lambda: self._told(running, told))
        if self.process.ready != READY_TOLD:
            self._look(running)

    def give_up(self) -> None:
        """Somebody wants something else: it ends in peace, for it may have been given requests already."""
        self._over = True
        if self._running is not None:
            self._leaving = Leaving(self._running, later=self._later, log=self._log)

    def _told(self, running: Running, told: int) -> None:
        said = os.read(told, 1)
        os.close(told)
        if said and running is self._running and not self._over:
            self._take_over(running)

    def _look(self, running: Running) -> None:
        """Of a program that cannot tell: its workers are there."""
        if self._over or running is not self._running:
            return
        if len(left_of(running.pid, self.process)) > 1:
            self._take_over(running)
        else:
            self._later(LOOK_S, lambda: self._look(running))

    def _take_over(self, running: Running) -> None:
        self._over, self._running = True, None
        self._ready(self, running)

    def _ended(self, running: Running) -> None:
        self._running = None
        code = running.reap()
        if self._leaving is not None:
            self._leaving.over()
        if self._over:
            return
        reason = exit_text(code)
        self._deaths += 1
        self._log("error", self.process.component, f"pid {running.pid}, which was to take over, died: {reason}")
        if code in self.process.for_good or self._deaths > len(BACKOFF_S):
            self._fail(f"the new one died ({reason})")
        else:
            self._later(BACKOFF_S[self._deaths - 1], self.start)

    def _fail(self, reason: str) -> None:
        self._over = True
        self._failed(self, reason)
