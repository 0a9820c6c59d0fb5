"""One component under the supervisor: start it, end it, bring it back.

The first crash restarts at once. Only when it dies again soon after its start does it wait, longer each time; after
`FAILED_AFTER` such deaths it counts as failed, with the reason, and is still tried every `RETRY_S`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from hftctl.paths import write_atomic
from hftctl.targets.local import listeners
from hftctl.targets.local.identity import identify, members
from hftctl.targets.local.process import (
    COMPONENT_VARIABLE,
    DIGEST_VARIABLE,
    LISTEN_VARIABLE,
    Process,
    Record,
    marker,
    record_file,
)
from hftctl.targets.local.rotation import rotate_output

SOON_S = 5.0  # a death within this time of the start is one of a series
BACKOFF_S = (0.0, 0.1, 0.3, 1.0, 3.0)
FAILED_AFTER = len(BACKOFF_S)
RETRY_S = 15.0
KILL_WAIT_S = 10.0

Later = Callable[[float, Callable[[], None]], None]


class Log(Protocol):
    def __call__(self, level: str, component: str, message: str, event: str = "", **fields: object) -> None: ...


class Status(StrEnum):
    RUNNING = "running"
    STOPPING = "stopping"
    RESTARTING = "restarting"  # waits for its next try
    FAILED = "failed"  # dies again and again; still tried, seldom
    STOPPED = "stopped"


class Child:
    def __init__(self, root: Path, process: Process, *, watch: Callable[[Child], None], later: Later, log: Log) -> None:
        self.root = root
        self.process = process
        self.status = Status.STOPPED
        self.record: Record | None = None
        self.pidfd = -1
        self.reason = ""  # of the last death that nobody asked for
        self.restarts = 0
        self.when_gone: list[Callable[[], None]] = []
        self._watch, self._later, self._log = watch, later, log
        self._held: dict[str, socket.socket] = {}
        self._popen: subprocess.Popen[bytes] | None = None
        self._deaths = 0
        self._started = 0.0
        self._again = False  # start anew when the one that is stopping has gone
        self._run = 0  # counts starts and stops, so that a timer meant for an earlier one does nothing

    @property
    def name(self) -> str:
        return self.process.component

    # what the supervisor asks for

    def adopt(self, record: Record) -> None:
        """Go on with a process that an earlier supervisor started."""
        self._held = listeners.take(record.identity.pid, record.fds, self.process.listens)
        self.record = record
        self.restarts = record.restarts
        self._running(record.identity.pid)
        missing = sorted(set(self.process.listens) - set(self._held))
        note = f"; its sockets {', '.join(missing)} are bound anew at its next start" if missing else ""
        self._log("info", self.name, f"found running as pid {record.identity.pid}{note}", "found")

    def want(self, process: Process) -> None:
        """Run this from now on."""
        before, self.process = self.process, process
        if self.status is Status.STOPPING:
            self._again = True
        elif self.status is not Status.RUNNING or self.record is None:
            self._deaths = 0
            self.start()
        elif self.record.digest != process.digest:
            if process.reload and before.same_program(process):
                os.kill(self.record.identity.pid, getattr(signal, process.reload))
                self._write(replace(self.record, digest=process.digest))
                self._log("info", self.name, f"told to load its new configuration ({process.reload})", "reloaded")
            else:
                self.restart()

    def restart(self) -> None:
        if self.status is Status.RUNNING:
            self._again = True
            self._stop()
        elif self.status is Status.STOPPING:
            self._again = True
        else:
            self._deaths = 0
            self.start()

    def remove(self, when_gone: Callable[[], None]) -> None:
        self.when_gone.append(when_gone)
        self._again = False
        if self.status is Status.RUNNING:
            self._stop()
        elif self.status is not Status.STOPPING:
            self._gone()

    def start(self, left_session: int = 0) -> None:
        """`left_session`: of a process that died while no supervisor was there, so nobody ended its group."""
        self._run += 1
        try:
            self._end_leftovers(left_session)
            for name, held in list(self._held.items()):
                address = self.process.listens.get(name)
                if address is None or not listeners.stands_at(held, address):
                    self._held.pop(name).close()
            for name, address in self.process.listens.items():
                if name not in self._held:
                    self._held[name] = listeners.bind(address)
            self._spawn()
        except OSError as error:
            self.reason = f"cannot start {self.process.argv[0]}: {error.strerror} ({error.filename or 'no file'})"
            self._log("error", self.name, self.reason, "died", pid=None, reason=self.reason)
            self._deaths += 1
            self._try_again()

    # the life of a process

    def _spawn(self) -> None:
        fds = {name: listener.fileno() for name, listener in self._held.items()}
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",  # log times of programs that know no other way
            **self.process.env,
            COMPONENT_VARIABLE: marker(self.root, self.name),
            DIGEST_VARIABLE: self.process.digest,
            LISTEN_VARIABLE: json.dumps(fds),
        }
        rotate_output(self.root / "logs", self.name)
        # A file and not a pipe: the component goes on when we are killed.
        out = os.open(
            self.root / "logs" / f"{self.name}.out", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            self._popen = subprocess.Popen(
                self.process.argv, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, pass_fds=tuple(fds.values()),
            )  # fmt: skip
        finally:
            os.close(out)
        self._running(self._popen.pid)
        identity = identify(self._popen.pid)
        if identity is None:
            return  # dead already; its pidfd says so in a moment
        self._write(Record(self.name, identity, self.process.digest, fds, time.time_ns(), self.restarts))
        self._log("info", self.name, f"started as pid {identity.pid}", "started", pid=identity.pid)

    def _running(self, pid: int) -> None:
        self.status = Status.RUNNING
        self._started = time.monotonic()
        self.pidfd = os.pidfd_open(pid)
        self._watch(self)

    def died(self) -> None:
        """Called by the supervisor when the pidfd says so, after it stopped watching it."""
        os.close(self.pidfd)
        self.pidfd = -1
        # Before it is reaped its pid cannot be used again, so the group we end is its own.
        pid = self._popen.pid if self._popen else self.record.identity.pid if self.record else 0
        self._end_leftovers(pid)
        code = self._popen.wait() if self._popen else None
        self._popen = None
        self._run += 1
        if self.status is Status.STOPPING:
            self._log("info", self.name, "stopped", "stopped", pid=pid)
            if self._again:
                self._again = False
                self._deaths = 0
                self.start()
            else:
                self._gone()
            return
        self.reason = _exit(code)
        self._log("error", self.name, f"pid {pid} died: {self.reason}", "died", pid=pid, reason=self.reason)
        soon = time.monotonic() - self._started < SOON_S
        self._deaths = self._deaths + 1 if soon else 1
        self.restarts += 1
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
        self.status = Status.STOPPING
        self._run += 1
        self._signal(0)

    def _signal(self, step: int) -> None:
        assert self.record is not None  # noqa: S101 - only what runs is stopped
        if step >= len(self.process.stop):
            self._log("warning", self.name, "did not end when asked, so it is killed", "killed")
            self._kill_all(self.record.identity.pid)
            return
        name, wait_s = self.process.stop[step]
        try:
            signal.pidfd_send_signal(self.pidfd, getattr(signal, name))
        except ProcessLookupError:
            return
        self._after(wait_s, lambda: self._signal(step + 1))

    def _after(self, wait_s: float, action: Callable[[], None]) -> None:
        run = self._run
        self._later(wait_s, lambda: action() if run == self._run else None)

    def _gone(self) -> None:
        self.status = Status.STOPPED
        self._run += 1
        for name, address in self.process.listens.items():
            listeners.forget(self._held.pop(name, None), address)
        record_file(Path(), self.name).unlink(missing_ok=True)
        self.record = None
        waiting, self.when_gone = self.when_gone, []
        for tell in waiting:
            tell()

    def _end_leftovers(self, session: int) -> None:
        """nginx's workers outlive a killed master and keep the port; PostgreSQL's keep the shared memory."""
        deadline = time.monotonic() + KILL_WAIT_S
        while (left := self._left(session)) and time.monotonic() < deadline:
            for pid in left:
                _kill(pid)
            for pid in left:
                _await_end(pid)

    def _left(self, session: int) -> list[int]:
        folder = Path(self.process.folder).resolve() if self.process.folder else None
        return members(session, Path.cwd(), folder, self.process.program)

    def _kill_all(self, session: int) -> None:
        for pid in self._left(session):
            _kill(pid)

    def _write(self, record: Record) -> None:
        self.record = record
        write_atomic(record_file(Path(), self.name), json.dumps(record.json()), mode=0o600)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it went first


def _await_end(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([handle], [], [], KILL_WAIT_S)
    finally:
        os.close(handle)


def _exit(code: int | None) -> str:
    if code is None:
        return "ended; its exit status went to another parent"
    if code < 0:
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"exit status {code}"
