"""A port of this machine that leads to one of a component's, wherever that runs: `hftctl forward`. Recorded before it is open.

Each connection is carried by a process of its own, found anew: a component that was replaced meanwhile is met by the next one.
"""

from __future__ import annotations

import select
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from hftctl.errors import HftctlError, UsageError
from hftctl.operations.beside import choose, record
from hftctl.operations.standing import open_standing, open_target
from hftctl.operations.terms import Confirm, TargetFactory, accept

HOST = "127.0.0.1"
LOOK_S = 1.0
END_S = 5.0


@dataclass
class Forward:
    deployment: str
    component: str
    listener: socket.socket
    connection: Callable[[], Sequence[str]]  # a command whose standard input and output are one to the component
    unrecorded: str = ""  # why it could not be recorded
    carried: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def serve(self, say: Callable[[str], None], ended: Callable[[], bool] = lambda: False) -> None:
        """Until `ended`; `say` is told why a connection could not be made."""
        while not ended():
            ready, _, _ = select.select([self.listener], [], [], LOOK_S)
            self.carried = [one for one in self.carried if one.poll() is None]
            if not ready:
                continue
            with self.listener.accept()[0] as client:
                try:
                    argv = self.connection()
                    self.carried.append(subprocess.Popen(argv, stdin=client.fileno(), stdout=client.fileno()))
                except (HftctlError, OSError) as error:
                    say(f"no connection to {self.component}: {error}")


@contextmanager
def forward(
    name: str | None,
    component: str,
    *,
    port: int = 0,
    targets: TargetFactory = open_target,
    confirm: Confirm = accept,
) -> Iterator[Forward]:
    """The listener, on loopback; port 0 is one that is free. Only `production` asks, as for `exec`."""
    target = open_standing(name, targets=targets)
    chosen = choose(target, component, lambda one: ["hftctl", "forward", "-p", target.deployment, one])
    target.connection(chosen)  # what has no port is told now, not at the first connection
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise UsageError(f"cannot listen on {HOST}:{port}: {error.strerror}",
                         hint="choose another one with --port, or leave it out") from error  # fmt: skip
    with listener:
        there = listener.getsockname()[1]
        unrecorded = record(target, chosen, "forward", f"{HOST}:{there} leads to {chosen}", confirm)
        opened = Forward(target.deployment, chosen, listener, lambda: target.connection(chosen), unrecorded)
        try:
            yield opened
        finally:
            for one in opened.carried:
                one.terminate()
            for one in opened.carried:
                try:
                    one.wait(END_S)
                except subprocess.TimeoutExpired:
                    one.kill()
                    one.wait()
