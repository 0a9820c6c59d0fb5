from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from stack.matcher import link_server
from stack.matcher.partition import Partition
from stack.settings import EngineSettings
from stack.wire.frames import FrameType, frame
from stack.wire.link import Link
from tests.stack.matcher.engines import new, with_partition


def test_a_client_that_does_not_read_is_disconnected_and_others_go_on(
    settings: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_server, "UNREAD_BYTES_MAX", 10_000)
    path = str(tmp_path / "link")

    async def test(partition: Partition) -> None:
        server = link_server.LinkServer(partition, 0)
        listening = await asyncio.get_running_loop().create_unix_server(server.protocol, path)
        hello = frame(FrameType.HELLO, b'{"protocol": 1, "client": "deaf"}')
        queries = frame(FrameType.QUERY, b'{"query": "status"}', request=1) * 100
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(deaf, path)
            await loop.sock_sendall(deaf, hello)
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                for _ in range(1000):
                    await loop.sock_sendall(deaf, queries)
        async with Link(path, "reader") as link:
            await link.wait_connected(10)
            assert (await link.submit(new("a"))).events
        await server.close(5)
        listening.close()

    with_partition(settings, test)


def test_no_hello_in_time_is_told_and_closed(
    settings: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_server, "HELLO_TIMEOUT_S", 0.05)
    path = str(tmp_path / "link")

    async def test(partition: Partition) -> None:
        server = link_server.LinkServer(partition, 0)
        listening = await asyncio.get_running_loop().create_unix_server(server.protocol, path)
        reader, writer = await asyncio.open_unix_connection(path)
        assert b"no_hello" in await reader.read()
        writer.close()
        await server.close(5)
        listening.close()

    with_partition(settings, test)
