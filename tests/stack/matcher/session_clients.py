"""A binary door in this process, over a real partition, and raw clients of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from engine.records import COMMAND_BYTES, EVENT_BYTES, Event, unpack_events
from stack.matcher import session_python
from stack.matcher import sessions as door
from stack.matcher.listeners import bind
from stack.matcher.partition import Partition
from stack.matcher.queries import Queries
from stack.settings import EngineSettings
from stack.wire.frames import HEADER, REPLY, FrameType, Outcome, frame
from tests.stack.matcher.engines import with_partition

try:
    import stack.matcher.session_frames  # noqa: F401

    IMPLEMENTATIONS = ["cython", "python"]
except ImportError:  # not built
    IMPLEMENTATIONS = ["python"]


class Got(NamedTuple):
    type: int
    records: int
    request: int
    payload: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.payload)

    @property
    def answer(self) -> tuple[Any, list[Event]]:
        end = 4 + int.from_bytes(self.payload[:4], "little")
        return json.loads(self.payload[4:end]), unpack_events(self.payload[end:])

    def replies(self) -> list[tuple[int, Outcome, list[Event]]]:
        """Token, outcome, events of each."""
        found, offset = [], 0
        for _ in range(self.records):
            token, outcome, count, _ = REPLY.unpack_from(self.payload, offset)
            offset += REPLY.size + count * EVENT_BYTES
            events = unpack_events(self.payload[offset - count * EVENT_BYTES : offset])
            found.append((token, Outcome(outcome), events))
        assert offset == len(self.payload)
        return found


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.welcome: Any = None

    def send(self, type_: int, document: Any = None, *, request: int = 0) -> None:
        self.writer.write(frame(type_, json.dumps(document).encode(), request=request))

    def submit(self, *commands: bytes, request: int = 1) -> None:
        self.writer.write(frame(FrameType.SUBMIT, b"".join(commands), records=len(commands), request=request))

    async def receive(self) -> Got:
        """Raises IncompleteReadError or ConnectionResetError at the end."""
        length, type_, _protocol, records, request = HEADER.unpack(await self.reader.readexactly(HEADER.size))
        return Got(type_, records, request, await self.reader.readexactly(length))

    async def hello(self, key: str | None = None, **more: Any) -> Got:
        self.send(FrameType.HELLO, {"protocol": 1, "client": "test"} | ({"key": key} if key else {}) | more)
        got = await self.receive()
        self.welcome = got.json
        return got

    async def ask(self, *commands: bytes, request: int = 1) -> list[tuple[Outcome, list[Event]]]:
        self.submit(*commands, request=request)
        found: list[tuple[Outcome, list[Event]]] = []
        while len(found) < len(commands):
            got = await self.receive()
            assert (got.type, got.request) == (FrameType.REPLIES, request), got
            found += [(outcome, events) for _token, outcome, events in got.replies()]
        return found

    async def query(self, request: int = 9, **document: Any) -> Got:
        self.send(FrameType.QUERY, document, request=request)
        got = await self.receive()
        assert got.request == request
        return got

    async def error(self) -> str:
        """The code of the ERROR that ends the session."""
        got = await self.receive()
        assert (got.type, got.request) == (FrameType.ERROR, 0), got
        assert await self.ended()
        return str(got.json["code"])

    async def ended(self) -> bool:
        try:
            return await self.reader.read(1) == b""
        except ConnectionResetError:
            return True

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


class Opened(NamedTuple):
    sessions: door.Sessions
    partition: Partition
    port: int
    clients: list[Client]

    async def connect(self) -> Client:
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 26)))
        return self.clients[-1]

    async def client(self, key: str | None = None) -> Client:
        """One that said HELLO."""
        client = await self.connect()
        got = await client.hello(key)
        assert got.type == FrameType.WELCOME, got
        return client


def with_sessions(
    settings: EngineSettings, frames: str, test: Callable[[Opened], Awaitable[Any]], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Run `test` with an open door over an open partition, then stop both."""

    if frames == "python":
        monkeypatch.setattr(door, "frames_class", lambda _partition: session_python.Frames)

    async def run(partition: Partition) -> Any:
        listener = bind("127.0.0.1:0", 0o600)
        port = listener.getsockname()[1]
        sessions = await door.serve(partition, settings, listener, Queries(partition, 0))
        partition.on_notice = sessions.notice
        opened = Opened(sessions, partition, port, [])
        try:
            return await test(opened)
        finally:
            for client in opened.clients:
                await client.close()
            sessions.stop()
            await sessions.close(5)

    return with_partition(settings, run)


def with_token(command: bytes, token: int) -> bytes:
    return command[: COMMAND_BYTES - 4] + token.to_bytes(4, "little")
