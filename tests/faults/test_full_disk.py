"""A full disk under the journal: orders are refused before anything is taken, and taken again as soon as there is room."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.records import Command, CommandKind
from stack.matcher.room import CANCELS_BYTES, ORDERS_BYTES
from stack.matcher.verify import Verification
from stack.wire.frames import Outcome
from tests.faults.clients import Connection
from tests.faults.history import Result
from tests.faults.lone_engine import LoneCrowd, LoneEngine

pytestmark = [
    pytest.mark.lab, pytest.mark.timeout(120), pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]  # fmt: skip
DISK_BYTES = 320 << 20
SEGMENT_RECORDS = 60_000  # 8 MiB


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[LoneEngine]:
    libc = ctypes.CDLL(None, use_errno=True)
    disk = tmp_path / "disk"
    disk.mkdir()
    if libc.mount(b"tmpfs", os.fsencode(disk), b"tmpfs", 0, f"size={DISK_BYTES}".encode()):
        pytest.skip(f"cannot mount a tmpfs: {os.strerror(ctypes.get_errno())}")
    engine = LoneEngine(tmp_path, SEGMENT_RECORDS)
    try:
        yield engine
    finally:
        if engine.running:
            engine.end()
        libc.umount(os.fsencode(disk))


def leave(lone: LoneEngine, free_bytes: int) -> None:
    """Somebody else fills the disk, or makes room."""
    other = lone.disk / "other"
    facts = os.statvfs(lone.disk)
    size = (other.stat().st_size if other.exists() else 0) + facts.f_bavail * facts.f_frsize - free_bytes
    with other.open("ab") as file:
        if size < file.tell():
            file.truncate(size)
        else:
            os.posix_fallocate(file.fileno(), 0, size)


def order(name: str) -> bytes:
    fields = '"account":"alice","symbol":"AAPL","side":"buy","type":"limit","price":"100.00","quantity":"1"'
    return b'{"client_order_id":"%s",%s}' % (name.encode(), fields.encode())


async def until(connection: Connection, body: bytes, status: int) -> dict[str, object]:
    """The engine looks at its disk a few times a second."""
    async with asyncio.timeout(20):
        number = 0
        while True:
            number += 1
            got, reply = await connection.request("POST", "/orders", body.replace(b"#", str(number).encode()))
            if got == status:
                return reply
            assert got in (201, 503), reply
            await asyncio.sleep(0.02)


def test_orders_are_refused_while_the_disk_is_full_and_nothing_is_lost(lone: LoneEngine) -> None:
    async def test() -> None:
        async with lone.link() as link:
            assert await lone.connected(link)
            crowd = LoneCrowd(lone, link, 1)
            await crowd.trade(8, 200, kill=False)
            connection = Connection(lone.port)
            assert (await connection.request("POST", "/orders", order("first")))[0] == 201
            leave(lone, ORDERS_BYTES // 2)
            refused = await until(connection, order("full-#"), 503)
            assert refused["code"] == "disk_full"
            status = (await link.query("status")).document
            assert "MiB are free" in status["no_room"] and status["stopped"] == ""
            assert (await connection.request("POST", "/orders", order("first")))[0] == 200, "a repeat needs no room"
            taken = [o for o in crowd.history if o.result is Result.OK and o.response.get("status") == "open"]
            sequences = [int(o.order_id.split("-")[1]) for o in taken]
            live = [s for s in sequences if (await link.submit(cancel(s))).events[0].kind != 0][:1]
            assert live, "cancels pass"
            before = (await link.query("status")).document["sequence"]
            assert (await connection.request("POST", "/orders", order("not")))[0] == 503
            assert (await link.query("status")).document["sequence"] == before, "nothing was journalled"
            leave(lone, CANCELS_BYTES // 2)
            async with asyncio.timeout(20):
                while (await link.submit(cancel(sequences[-1]))).outcome != Outcome.FULL:
                    await asyncio.sleep(0.02)
            halt = await link.submit(Command(CommandKind.HALT, text=b"full").pack())
            resume = await link.submit(Command(CommandKind.RESUME, text=b"room").pack())
            assert (halt.outcome, resume.outcome) == (Outcome.DONE, Outcome.DONE), "an emergency stop is always taken"
            leave(lone, 2 * ORDERS_BYTES)
            await until(connection, order("again-#"), 201)
            assert (await link.query("status")).document["no_room"] == ""
            connection.close()

    lone.start()
    asyncio.run(asyncio.wait_for(test(), 90))
    assert lone.end() == 0
    assert [said for said in lone.said("error") if "refusing" in said]
    verification = Verification(lone.data)
    verification.run()
    assert verification.report["problems"] == []


def cancel(sequence: int) -> bytes:
    return Command(CommandKind.CANCEL, account=1, target=sequence).pack()


def test_an_engine_starts_on_a_full_disk_and_goes_on_where_there_is_room_for_the_next_segment(lone: LoneEngine) -> None:
    """The journal was killed with its next segment not made; what is free is enough for events, not for a segment."""

    async def full() -> None:
        async with lone.link() as link:
            assert await lone.connected(link)
            connection = Connection(lone.port)
            assert (await until(connection, order("full-#"), 503))["code"] == "disk_full"
            why = (await link.query("status")).document["no_room"]
            assert "next journal segment cannot be made" in why and "No space left" in why
            leave(lone, 160 << 20)
            await until(connection, order("room-#"), 201)
            connection.close()

    lone.settings = type(lone.settings)(**{**_fields(lone), "segment_bytes": 4096 + 144 * 500_000})  # 72 MiB
    leave(lone, 150 << 20)
    lone.start()
    asyncio.run(asyncio.wait_for(full(), 60))
    assert lone.end() == 0
    names = sorted(path.name for path in (lone.data / "journal").iterdir())
    assert names == ["00000001.journal", "00000002.journal"]


def _fields(lone: LoneEngine) -> dict[str, object]:
    return {name: getattr(lone.settings, name) for name in lone.settings.__struct_fields__}
