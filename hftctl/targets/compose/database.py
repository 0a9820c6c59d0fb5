"""A way to PostgreSQL, which publishes no port: by the network of its partition's persister, through the engine's own API.

So it is the same for an engine of this machine, in a virtual machine and behind ssh. Rows come by the persister: without it there
would be nothing new to read.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from docker.errors import DockerException
from docker.utils.socket import next_frame_header, read_exactly

from hftctl.errors import Failed, NotFound
from hftctl.targets import relay
from hftctl.targets.compose import services
from hftctl.targets.compose.containers import Containers, Found
from hftctl.targets.compose.daemon import saying
from hftctl.targets.compose.piped import Piped

SOCKET = f".s.PGSQL.{services.POSTGRES_PORT}"  # as libpq calls it in a folder
CONNECT_S = 10  # a process is started in a container first
PIECE_BYTES = 1 << 16
STANDARD_OUTPUT = 1


class Database:
    def __init__(self, containers: Containers, deployment: str) -> None:
        self._containers, self._deployment = containers, deployment
        self._ways: dict[int, Piped] = {}

    def folder(self, partition: int) -> Path:
        """Where libpq finds its socket. Raises NotFound."""
        self._running("postgres-0")
        self._running(f"persister-{partition}")
        if partition not in self._ways:
            self._ways[partition] = Piped(SOCKET, lambda client: self._carry(partition, client))
        return self._ways[partition].folder

    def _running(self, subject: str) -> Found:
        found = self._containers.serving().get(subject)
        if found is None or found.state != "running":
            stands = f"is {found.state}" if found is not None else "does not run"
            raise NotFound(f"cannot reach PostgreSQL of '{self._deployment}': {subject} {stands}",
                           hint=f"hftctl start -p {self._deployment}")  # fmt: skip
        return found

    def _carry(self, partition: int, client: socket.socket) -> None:
        """Closed without a word where it cannot be carried: libpq tells that the server did."""
        with client, suppress(OSError, NotFound, Failed, DockerException):
            api, found = self._containers.api, self._running(f"persister-{partition}")
            words = [
                *services.PYTHON,
                "-c",
                Path(relay.__file__).read_text(),
                "postgres-0",
                str(services.POSTGRES_PORT),
            ]
            with saying("run a relay in a container"):
                made = api.exec_create(found.id, words, stdin=True)["Id"]
                stream = api.exec_start(made, socket=True)
            there = getattr(stream, "_sock", stream)
            there.settimeout(None)
            threading.Thread(target=_send, args=(client, there), daemon=True).start()
            _receive(there, client)
            stream.close()


def _send(client: socket.socket, there: Any) -> None:
    with suppress(OSError):
        while piece := client.recv(PIECE_BYTES):
            there.sendall(piece)
        there.shutdown(socket.SHUT_WR)


def _receive(there: Any, client: socket.socket) -> None:
    while True:
        kind, length = next_frame_header(there)
        if length < 0:
            return
        piece = read_exactly(there, length)
        if kind == STANDARD_OUTPUT:
            client.sendall(piece)
