"""The link against a peer that plays the engine's part by hand, so that it can break at a chosen point."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.records import COMMAND_BYTES, Command, CommandKind
from stack.wire.frames import REPLY, FrameReader, FrameType, Outcome, frame
from stack.wire.link import QUERIES_MAX, Link, LinkLost, QueryRefused, is_path

WELCOME = {
    "protocol": 1, "partition": 4, "epoch": 2, "rules_version": 1, "sequence": 10, "halted": False,
    "instruments": [
        {"id": 1, "symbol": "AAPL", "tick_size": "0.01", "lot_size": "1", "currency": "USD", "state": "open"}
    ],
    "accounts": [{"id": 1, "account": "demo"}],
}  # fmt: skip
COMMAND = Command(CommandKind.HALT, text=b"test").pack()


class Peer:
    """Greets every client, then hands each frame to `answer(writer, type, records, request, payload)`."""

    def __init__(self, path: Path, answer: Callable[..., object]) -> None:
        self.path, self.answer, self.connections = path, answer, 0

    async def __aenter__(self) -> Peer:
        self.server = await asyncio.start_unix_server(self.serve, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await self.server.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        frames = FrameReader()
        while data := await reader.read(65536):
            for type_, records, request, payload in frames.feed(data):
                if type_ == FrameType.HELLO:
                    writer.write(frame(FrameType.WELCOME, msgspec.json.encode(WELCOME)))
                else:
                    self.answer(writer, type_, records, request, payload)
        writer.close()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 10))


def accept_all(writer: asyncio.StreamWriter, _type: int, records: int, request: int, payload: bytes) -> None:
    replies = b"".join(
        REPLY.pack(int.from_bytes(payload[end - 4 : end], "little"), Outcome.DONE, 0, 0)
        for end in range(COMMAND_BYTES, len(payload) + 1, COMMAND_BYTES)
    )
    writer.write(frame(FrameType.REPLIES, replies, records=records, request=request))


def test_commands_of_one_turn_leave_in_one_frame_and_every_one_is_answered(tmp_path: Path) -> None:
    frames = []

    def answer(writer: asyncio.StreamWriter, type_: int, records: int, request: int, payload: bytes) -> None:
        frames.append(records)
        accept_all(writer, type_, records, request, payload)

    async def test() -> None:
        async with Peer(tmp_path / "link", answer), Link(str(tmp_path / "link"), "test") as link:
            assert (await link.wait_connected(5)).partition == 4
            assert link.tables.symbols["AAPL"].tick.text(1) == "0.01"
            replies = await asyncio.gather(*(link.submit(COMMAND) for _ in range(100)))
            assert [reply.outcome for reply in replies] == [Outcome.DONE] * 100
            assert frames == [100]
            assert link.pending == 0

    run(test())


def test_a_command_that_left_fails_as_sent_and_one_that_did_not_as_unsent(tmp_path: Path) -> None:
    async def test() -> None:
        received = asyncio.Event()
        async with (
            Peer(tmp_path / "link", lambda writer, *_: (received.set(), writer.transport.abort())) as peer,
            Link(str(tmp_path / "link"), "test") as link,
        ):
            with pytest.raises(LinkLost) as early:
                await link.submit(COMMAND)
            assert early.value.sent is False
            await link.wait_connected(5)
            with pytest.raises(LinkLost) as late:
                await link.submit(COMMAND)
            assert late.value.sent is True
            assert received.is_set()
            await link.wait_connected(5)
            assert peer.connections == 2

    run(test())


def test_the_link_waits_for_an_engine_that_comes_later(tmp_path: Path) -> None:
    async def test() -> None:
        async with Link(str(tmp_path / "link"), "test") as link:
            with pytest.raises(TimeoutError):
                await link.wait_connected(0.05)
            async with Peer(tmp_path / "link", accept_all):
                await link.wait_connected(5)
                assert (await link.submit(COMMAND)).outcome == Outcome.DONE

    run(test())


def test_a_refused_query_raises_its_code(tmp_path: Path) -> None:
    def refuse(writer: asyncio.StreamWriter, _type: int, _records: int, request: int, _payload: bytes) -> None:
        document = msgspec.json.encode({"code": "bad_query", "message": "no such query"})
        writer.write(frame(FrameType.ERROR, document, request=request))

    async def test() -> None:
        async with Peer(tmp_path / "link", refuse), Link(str(tmp_path / "link"), "test") as link:
            await link.wait_connected(5)
            with pytest.raises(QueryRefused, match="no such query"):
                await link.query("nonsense")

    run(test())


def test_closing_the_link_fails_what_is_open(tmp_path: Path) -> None:
    async def test() -> None:
        async with Peer(tmp_path / "link", lambda *_: None), Link(str(tmp_path / "link"), "test") as link:
            await link.wait_connected(5)
            future = link.submit(COMMAND)
            await link.close()
            with pytest.raises(LinkLost):
                await future

    run(test())


def test_an_address_is_a_path_or_host_and_port() -> None:
    assert is_path("engine-0.sock")
    assert is_path("./a:b/link")
    assert not is_path("127.0.0.1:50050")


def test_queries_in_flight_are_bounded_and_those_that_nobody_waits_for_still_count(tmp_path: Path) -> None:
    asked: list[tuple[asyncio.StreamWriter, int]] = []

    def note(writer: asyncio.StreamWriter, type_: int, _records: int, request: int, _payload: bytes) -> None:
        assert type_ == FrameType.QUERY
        asked.append((writer, request))

    def answer(count: int) -> None:
        for writer, request in asked[:count]:
            writer.write(frame(FrameType.ANSWER, (2).to_bytes(4, "little") + b"{}", request=request))
        del asked[:count]

    async def test() -> None:
        async with Peer(tmp_path / "link", note), Link(str(tmp_path / "link"), "test") as link:
            await link.wait_connected(5)
            queries = [asyncio.create_task(link.query("status")) for _ in range(QUERIES_MAX + 3)]
            while len(asked) < QUERIES_MAX:
                await asyncio.sleep(0.001)
            queries[0].cancel()
            await asyncio.sleep(0.01)
            assert len(asked) == QUERIES_MAX, "a place is free only when the engine has answered"
            answer(2)
            while len(asked) < QUERIES_MAX:
                await asyncio.sleep(0.001)
            asked[0][0].transport.abort()
            ended = await asyncio.gather(*queries, return_exceptions=True)
            lost = [error.sent for error in ended if isinstance(error, LinkLost)]
            assert sorted(lost) == [False] + [True] * QUERIES_MAX, "also those that had no place yet"
            assert isinstance(ended[0], asyncio.CancelledError) and ended[1] == ({}, b"")
            assert link.pending == 0

    run(test())
