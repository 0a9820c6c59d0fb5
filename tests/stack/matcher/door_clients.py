"""A door in this process, over a real partition, and raw clients of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stack.matcher.listeners import bind
from stack.matcher.partition import Partition
from stack.settings import EngineSettings
from tests.stack.matcher.engines import with_partition


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def to_gateway(self) -> bool:
        return self.headers.get("x-accel-redirect") == "@gateway" and self.body == b""


class Client:
    """One connection; `send` raw bytes, `receive` one answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, path: Path) -> Client:
        return cls(*await asyncio.open_unix_connection(str(path)))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> Answer:
        """Raises IncompleteReadError when the door closes the connection instead."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        return Answer(int(head[0].split()[1]), headers, await self.reader.readexactly(int(headers["content-length"])))

    async def ask(self, data: bytes) -> Answer:
        self.send(data)
        return await self.receive()

    async def ended(self) -> bool:
        try:
            return await self.reader.read(1) == b""
        except ConnectionResetError:
            return True

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def order(text: str = "c-1", **fields: Any) -> dict[str, Any]:
    values = {
        "client_order_id": text, "account": "alice", "symbol": "AAPL", "side": "buy", "type": "limit",
        "price": "190.25", "quantity": "10",
    }  # fmt: skip
    return {name: value for name, value in (values | fields).items() if value is not ...}


def post(document: Any, route: str = "/orders", **headers: str) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"POST {route} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Opened(NamedTuple):
    door: Any
    partition: Partition
    path: Path
    clients: list[Client]

    async def client(self) -> Client:
        self.clients.append(await Client.connect(self.path))
        return self.clients[-1]


def with_door(settings: EngineSettings, path: Path, test: Callable[[Opened], Awaitable[Any]]) -> Any:
    """Run `test` with an open door over an open partition, then stop both."""
    module = pytest.importorskip("stack.matcher.order_door", reason="the extensions are not built")

    async def run(partition: Partition) -> Any:
        door = await module.serve(asyncio.get_running_loop(), partition, settings, bind(str(path), 0o600))
        opened = Opened(door, partition, path, [])
        try:
            return await test(opened)
        finally:
            for client in opened.clients:
                await client.close()
            door.stop()

    return with_partition(settings, run)
