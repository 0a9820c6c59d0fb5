"""Keeps the components of one deployment running: `python -m hftctl.targets.local.supervisor --root <deployment folder>`.

It guarantees: what was asked to run is started again when it dies; the listening sockets of engines and gateways stay open
meanwhile; and its own death harms nobody, for components write to files, not to us, and the next supervisor finds them by pid
and start time. What shall run stands in `run/processes.json`; what does run in `run/<component>.json`.

It listens on `run/supervisor.sock`: one JSON object per line, one answer each.

    {"do": "status"}                         {"pid", "processes": {component: {"status", "pid", "digest", "restarts", ...}}}
    {"do": "apply", "process": {...}}        starts it, restarts it or has it reload when it is not what runs already
    {"do": "restart", "component": name}
    {"do": "remove", "component": name}      answered when it has gone
    {"do": "leave"}                          ends the supervisor and nothing else
"""

from __future__ import annotations

import argparse
import fcntl
import heapq
import itertools
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hftctl.paths import write_atomic
from hftctl.targets.local import event_log
from hftctl.targets.local.adoption import Survey
from hftctl.targets.local.child import Child
from hftctl.targets.local.identity import boot_id, identify
from hftctl.targets.local.process import Process, read_record
from hftctl.targets.local.rotation import CHECK_S, rotate

SOCKET = "supervisor.sock"
LOCK = "supervisor.lock"
PROCESSES = "processes.json"
PID_FILE = "supervisor.json"
ANOTHER = 7  # exit status: somebody else looks after this deployment
REQUEST_BYTES_MAX = 1 << 20
SAVE_AGAIN_S = 1.0
READY_FD_VARIABLE = "HFTCTL_READY_FD"

OWN = Process("supervisor", (), logs=(event_log.SUPERVISOR, event_log.ACTIONS))

Answer = Callable[[dict[str, Any]], None]


class Supervisor:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.children: dict[str, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._leaving = False

    def run(self, listener: socket.socket, ready: Callable[[], None], *, start: bool) -> None:
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        self._load(start)
        self.later(CHECK_S, self._rotate)
        ready()
        while not self._leaving:
            wait_s = max(self._timers[0][0] - time.monotonic(), 0) if self._timers else None
            for key, _ in self._selector.select(wait_s):
                if key.fd in self._selector.get_map():  # not dropped by the one before
                    key.data()
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()

    # for children

    def later(self, wait_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + wait_s, next(self._order), action))

    def watch(self, handle: int, action: Callable[[], None]) -> None:
        """Once, when it can be read: a pidfd when its process has ended."""

        def readable() -> None:
            self._selector.unregister(handle)
            action()

        self._selector.register(handle, selectors.EVENT_READ, readable)

    def log(self, level: str, component: str, message: str, event: str = "", **fields: object) -> None:
        named = {"event": event, **fields} if event else fields
        with suppress(OSError):  # a full disk must not stop who restarts what dies of it
            event_log.write(
                self.root / "logs" / event_log.SUPERVISOR,
                level,
                "supervisor",
                f"{component}: {message}",
                {"component": component, **named},
            )

    # processes

    def _load(self, start: bool) -> None:
        """Adopt what lives, start what does not."""
        try:
            wanted = [Process.load(entry) for entry in json.loads(Path(PROCESSES).read_bytes())]
        except FileNotFoundError:
            wanted = []
        found = Survey(self.root)
        for process in wanted:
            record, others = found.of(process)
            if record is None and not start:
                continue
            child = self._child(process)
            if record is not None:
                try:
                    child.adopt(record)
                except ProcessLookupError:  # it died since we looked
                    child.start(record.identity.pid)
                    continue
                for other in others:
                    child.end_other(other)
                child.want(process)
            else:
                dead = read_record(self.root / "run", process.component)
                child.start(dead.identity.pid if dead and dead.identity.boot == boot_id() else 0)

    def _child(self, process: Process) -> Child:
        child = Child(self.root, process, watch=self.watch, later=self.later, log=self.log)
        self.children[process.component] = child
        return child

    def _save(self) -> None:
        text = json.dumps([child.process.json() for child in self.children.values()])
        try:
            write_atomic(Path(PROCESSES), text, mode=0o600)
        except OSError as error:  # a full disk must not end who looks after the rest
            self.log("warning", "supervisor", f"{PROCESSES} is tried again until it can be written: {error.strerror}")
            self.later(SAVE_AGAIN_S, self._save)

    def _rotate(self) -> None:
        self.later(CHECK_S, self._rotate)
        for process, record in [*((child.process, child.record) for child in self.children.values()), (OWN, None)]:
            try:
                rotate(self.root / "logs", process, record)
            except OSError as error:
                self.log("warning", process.component, f"its logs cannot be rotated: {error.strerror}")

    # the control socket

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.setblocking(False)
        buffer = bytearray()

        def close() -> None:
            if connection.fileno() >= 0:
                self._selector.unregister(connection)
                connection.close()

        def answer(message: dict[str, Any]) -> None:
            try:
                connection.setblocking(True)
                connection.settimeout(1.0)
                connection.sendall(json.dumps(message).encode() + b"\n")
                connection.setblocking(False)
            except OSError:
                close()  # who asked has gone; what was asked is done all the same

        def read() -> None:
            try:
                data = connection.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            buffer.extend(data)
            if not data or len(buffer) > REQUEST_BYTES_MAX:
                close()
                return
            while (end := buffer.find(b"\n")) >= 0:
                line = bytes(buffer[:end])
                del buffer[: end + 1]
                self._handle(line, answer)

        self._selector.register(connection, selectors.EVENT_READ, read)

    def _handle(self, line: bytes, answer: Answer) -> None:
        try:
            request = json.loads(line)
            verb = request["do"]
            if verb == "status":
                answer(self._status())
            elif verb == "apply":
                process = Process.load(request["process"])
                child = self.children.get(process.component) or self._child(process)
                child.want(process)
                self._save()
                answer({"status": child.status})
            elif verb == "restart":
                self.children[request["component"]].restart()
                answer({})
            elif verb == "remove":
                self._remove(request["component"], answer)
            elif verb == "leave":
                self.log("info", "supervisor", "leaves; what it looked after goes on", "stopped")
                answer({})
                self._leaving = True
            else:
                answer({"error": f"no such verb: {verb}"})
        except (ValueError, KeyError, TypeError) as error:
            answer({"error": f"cannot understand {line[:200]!r}: {type(error).__name__}: {error}"})

    def _remove(self, component: str, answer: Answer) -> None:
        child = self.children.get(component)
        if child is None:
            answer({})
            return

        def gone() -> None:
            if self.children.get(component) is child:
                del self.children[component]
                self._save()
            answer({})

        child.remove(gone)

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "processes": {
                name: {
                    "status": child.status,
                    "pid": child.record.identity.pid if child.record and child.running else None,
                    "digest": child.record.digest if child.record else "",
                    "started_ns": child.record.started_ns if child.record else None,
                    "restarts": child.restarts,
                    "reason": child.reason,
                    "code": child.code,
                    "replacing": child.replacing,
                    "refused": child.refused,
                    "asked_ns": child.asked_ns,
                }
                for name, child in self.children.items()
            },
        }


def main() -> int:
    parser = argparse.ArgumentParser(prog="hftctl-supervisor")
    parser.add_argument("--root", type=Path, required=True, help="folder of the deployment")
    parser.add_argument("--code", default="", help="content hash of this program, written down for who compares")
    parser.add_argument("--adopt-only", action="store_true", help="start nothing that does not run")
    options = parser.parse_args()
    root = options.root.resolve()
    os.chdir(root / "run")
    os.umask(0o077)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # components inherit it: a connection is a file
    ready_fd = int(os.environ.pop(READY_FD_VARIABLE, "-1"))
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another supervisor looks after this deployment", file=sys.stderr)
        return ANOTHER
    if os.fork():
        os._exit(0)  # nobody's child: who started us need not wait for us. The lock goes on in the child.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    Path(SOCKET).unlink(missing_ok=True)  # of a killed one: we hold the lock
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(SOCKET)
    listener.listen(64)
    supervisor = Supervisor(root)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # we hold nothing that a successor cannot find
    identity = identify(os.getpid())
    assert identity is not None  # noqa: S101 - we run
    about = {"identity": asdict(identity), "code": options.code}
    write_atomic(Path(PID_FILE), json.dumps(about), mode=0o600)

    def ready() -> None:
        if ready_fd >= 0:
            # who started us was killed, or would not wait so long: we are wanted all the same
            with suppress(BrokenPipeError):
                os.write(ready_fd, b"1")
            os.close(ready_fd)

    supervisor.log("info", "supervisor", f"looks after {root.name} as pid {os.getpid()}", "started", pid=os.getpid())
    supervisor.run(listener, ready, start=not options.adopt_only)
    Path(SOCKET).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
