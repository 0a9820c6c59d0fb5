"""One component under the supervisor: start it, end it, replace it, bring it back.

The first crash restarts at once. Only when it dies again soon after its start does it wait, longer each time; after
`FAILED_AFTER` such deaths it counts as failed, with the reason, and is still tried every `RETRY_S`; not at all when its
exit status says that another try would not mend it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from hftctl.paths import write_atomic
from hftctl.targets.local import listeners
from hftctl.targets.local.identity import identify
from hftctl.targets.local.launch import Running, end_leftovers, exit_text, launch
from hftctl.targets.local.leaving import Later, Leaving, Log
from hftctl.targets.local.process import Process, Record, record_file
from hftctl.targets.local.replacement import Replacement, Watch

SOON_S = 5.0  # a death within this time of the start is one of a series
BACKOFF_S = (0.0, 0.1, 0.3, 1.0, 3.0)
FAILED_AFTER = len(BACKOFF_S)
RETRY_S = 15.0
RECORD_AGAIN_S = 1.0


class Status(StrEnum):
    RUNNING = "running"
    STOPPING = "stopping"
    RESTARTING = "restarting"  # waits for its next try
    FAILED = "failed"  # dies again and again, or ended for good
    STOPPED = "stopped"


class Child:
    def __init__(self, root: Path, process: Process, *, watch: Watch, later: Later, log: Log) -> None:
        self.root = root
        self.process = process
        self.status = Status.STOPPED
        self.record: Record | None = None
        self.running: Running | None = None
        self.reason = ""  # of the last death that nobody asked for
        self.code: int | None = None  # its exit status
        self.refused = ""  # why the process that was to take over was given up
        self.asked_ns = 0  # when the one that runs was last asked to end for the next one
        self.restarts = 0
        self.when_gone: list[Callable[[], None]] = []
        self._watch, self._later, self._log = watch, later, log
        self._held: dict[str, socket.socket] = {}
        self._replacement: Replacement | None = None
        self._leaving: list[Leaving] = []  # of the one that is stopping, and of those that were taken over from
        self._deaths = 0
        self._started = 0.0
        self._again = False  # start anew when the one that is stopping has gone
        self._run = 0  # counts starts and stops, so that a timer meant for an earlier one does nothing

    @property
    def name(self) -> str:
        return self.process.component

    @property
    def replacing(self) -> bool:
        """Whether a process starts beside the one that runs."""
        return self._replacement is not None

    # what the supervisor asks for

    def adopt(self, record: Record) -> None:
        """Go on with a process that an earlier supervisor started."""
        self._held = listeners.take(record.identity.pid, record.fds, self.process.listens)
        self.record = record
        self.restarts = record.restarts
        self._runs(self._found(record))
        missing = sorted(set(self.process.listens) - set(self._held))
        note = f"; its sockets {', '.join(missing)} are bound anew at its next start" if missing else ""
        self._log("info", self.name, f"found running as pid {record.identity.pid}{note}", "found")

    def end_other(self, record: Record) -> None:
        """One more process of this component, left by a supervisor that was killed while one took over from another."""
        self._log("info", self.name, f"ends pid {record.identity.pid}, which ran beside the one that is kept")
        self._let_go(self._found(record))

    def want(self, process: Process) -> None:
        """Run this from now on."""
        self.refused = ""
        self.asked_ns = 0
        before, self.process = self.process, process
        if self.status is Status.STOPPING:
            self._again = True
        elif self.status is not Status.RUNNING or self.record is None or self.running is None:
            self._deaths = 0
            self.start()
        elif self.record.digest == process.digest:
            self._give_up_replacement()
        elif process.reload and before.same_program(process) and not self.replacing:
            with suppress(ProcessLookupError):  # it has just died: it is started again, with this
                signal.pidfd_send_signal(self.running.pidfd, getattr(signal, process.reload))
            self.running.process = process
            self._write(replace(self.record, digest=process.digest))
            self._log("info", self.name, f"told to load its new configuration ({process.reload})", "reloaded")
        else:
            self.restart()

    def restart(self) -> None:
        if self.status is Status.RUNNING:
            if self.process.start_first and self._held:
                self._replace()
                return
            self._again = True
            self.asked_ns = time.time_ns()
            self._stop()
        elif self.status is Status.STOPPING:
            self._again = True
        else:
            self._deaths = 0
            self.start()

    def remove(self, when_gone: Callable[[], None]) -> None:
        self.when_gone.append(when_gone)
        self._again = False
        self._give_up_replacement()
        # At once: who connects while it answers its last requests must be refused, and go elsewhere, not wait for nobody.
        self._forget_listeners()
        if self.status is Status.RUNNING:
            self._stop()
        elif self.status is not Status.STOPPING:
            self._gone()

    def start(self, left_session: int = 0) -> None:
        """`left_session`: of a process that died while no supervisor was there, so nobody ended its group."""
        self._run += 1
        self._give_up_replacement()
        try:
            end_leftovers(left_session, self.process)
            self._hold(self._listeners())
            self._spawn()
        except OSError as error:
            self.reason = f"cannot start {self.process.argv[0]}: {error.strerror} ({error.filename or 'no file'})"
            self.code = None
            self._log("error", self.name, self.reason, "died", pid=None, reason=self.reason)
            self._deaths += 1
            self._try_again()

    # the life of a process

    def _listeners(self) -> dict[str, socket.socket]:
        """Those that are held already, the missing ones bound. Raises OSError."""
        held = {}
        for name, address in self.process.listens.items():
            standing = self._held.get(name)
            keep = standing is not None and listeners.stands_at(standing, address)
            held[name] = standing if keep and standing is not None else listeners.bind(address)
        return held

    def _forget_listeners(self) -> None:
        for name, address in self.process.listens.items():
            listeners.forget(self._held.pop(name, None), address)

    def _hold(self, held: dict[str, socket.socket]) -> None:
        for name, before in self._held.items():
            if held.get(name) is not before:
                before.close()
        self._held = held

    def _spawn(self) -> None:
        running = launch(self.root, self.process, self._fds(self._held))
        self._runs(running)
        self._watch(running.pidfd, lambda: running.on_end(running))
        self._record(running)
        self._log("info", self.name, f"started as pid {running.pid}", "started", pid=running.pid)

    def _found(self, record: Record) -> Running:
        pid = record.identity.pid
        running = Running(self.process, pid, os.pidfd_open(pid), None, self._died)
        self._watch(running.pidfd, lambda: running.on_end(running))
        return running

    def _runs(self, running: Running) -> None:
        running.on_end = self._died
        self.running = running
        self.status = Status.RUNNING
        self.refused = ""
        self._started = time.monotonic()

    def _record(self, running: Running) -> None:
        identity = identify(running.pid)
        if identity is None:
            return  # dead already; its pidfd says so in a moment
        fds = self._fds(self._held)
        self._write(Record(self.name, identity, running.process.digest, fds, time.time_ns(), self.restarts))

    def _died(self, running: Running) -> None:
        code = running.reap()
        self.running = None
        self._run += 1
        self._end_leaving(running)
        if self.status is Status.STOPPING:
            self._log("info", self.name, "stopped", "stopped", pid=running.pid)
            if self._again:
                self._again = False
                self._deaths = 0
                self.start()
            else:
                self._gone()
            return
        self.reason, self.code = exit_text(code), code
        self._log(
            "error", self.name, f"pid {running.pid} died: {self.reason}", "died", pid=running.pid, reason=self.reason
        )
        soon = time.monotonic() - self._started < SOON_S
        self._deaths = self._deaths + 1 if soon else 1
        self.restarts += 1
        if code is not None and code in self.process.for_good:
            self.status = Status.FAILED
            self._give_up_replacement()
            self._log("error", self.name, "is not started again: another try would end the same way")
            return
        self._try_again()

    def _try_again(self) -> None:
        self.status = Status.FAILED if self._deaths >= FAILED_AFTER else Status.RESTARTING
        wait_s = RETRY_S if self.status is Status.FAILED else BACKOFF_S[self._deaths - 1]
        if wait_s:
            self._log("warning", self.name, f"is started again in {wait_s:g} s", "waits", wait_s=wait_s)
            self._after(wait_s, self.start)
        else:
            self.start()

    def _stop(self) -> None:
        assert self.running is not None  # noqa: S101 - only what runs is stopped
        self.status = Status.STOPPING
        self._run += 1
        self._give_up_replacement()
        self._leaving.append(Leaving(self.running, later=self._later, log=self._log))

    def _after(self, wait_s: float, action: Callable[[], None]) -> None:
        run = self._run
        self._later(wait_s, lambda: action() if run == self._run else None)

    def _gone(self) -> None:
        self.status = Status.STOPPED
        self._run += 1
        if self._leaving:
            return  # one that was taken over from still answers its last requests
        self._forget_listeners()
        record_file(Path(), self.name).unlink(missing_ok=True)
        self.record = None
        waiting, self.when_gone = self.when_gone, []
        for tell in waiting:
            tell()

    def _write(self, record: Record, *, again: bool = False) -> None:
        """What runs must not count as not started because a full disk has no room for its record: that can wait. Until
        then another supervisor would find it by its environment."""
        self.record = record
        try:
            write_atomic(record_file(Path(), self.name), json.dumps(record.json()), mode=0o600)
        except OSError as error:
            if not again:
                self._log("warning", self.name, f"its record is tried again until it can be written: {error.strerror}")
            self._later(RECORD_AGAIN_S, lambda: self._write(record, again=True) if self.record is record else None)

    @staticmethod
    def _fds(held: dict[str, socket.socket]) -> dict[str, int]:
        return {name: listener.fileno() for name, listener in held.items()}

    # start-first

    def _replace(self) -> None:
        self._give_up_replacement()
        self.refused = ""
        try:
            held = self._listeners()
        except OSError as error:
            self.refused = f"cannot listen on {error.filename}: {error.strerror}"
            self._log("error", self.name, self.refused)
            return
        self._replacement = Replacement(
            self.root, self.process, held, watch=self._watch, later=self._later, log=self._log,
            ready=self._taken_over, failed=self._given_up,
        )  # fmt: skip
        self._replacement.start()

    def _taken_over(self, replacement: Replacement, running: Running) -> None:
        before, self._replacement = self.running, None
        self._hold(replacement.held)
        self._runs(running)
        self.asked_ns = 0
        self._record(running)
        self._log("info", self.name, f"pid {running.pid} took over", "started", pid=running.pid)
        if before is not None:
            self._let_go(before)

    def _let_go(self, running: Running) -> None:
        running.on_end = self._answered_all
        self._leaving.append(Leaving(running, later=self._later, log=self._log))

    def _answered_all(self, running: Running) -> None:
        running.reap()
        self._end_leaving(running)
        self._log(
            "info", self.name, f"pid {running.pid} has answered its last request and ended", "stopped", pid=running.pid
        )
        if self.status is Status.STOPPED:
            self._gone()

    def _end_leaving(self, running: Running) -> None:
        for leaving in [one for one in self._leaving if one.running is running]:
            leaving.over()
            self._leaving.remove(leaving)

    def _given_up(self, replacement: Replacement, reason: str) -> None:
        if replacement is self._replacement:
            self._close_unused(replacement)
            self._replacement, self.refused = None, reason

    def _give_up_replacement(self) -> None:
        if self._replacement is not None:
            replacement, self._replacement = self._replacement, None
            replacement.give_up()
            self._close_unused(replacement)

    def _close_unused(self, replacement: Replacement) -> None:
        for name, listener in replacement.held.items():
            if self._held.get(name) is not listener:
                listener.close()
