"""What ends by the clock, in a partition: before the next order, where nothing comes, over a restart, and when the disk is full."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import engine
from engine.records import DAY_NS, EventKind, Reason, Side, TimeInForce, unpack_events
from stack.matcher import snapshot
from stack.matcher.partition import Partition
from stack.matcher.verify import Verification
from stack.settings import EngineSettings
from stack.wire.frames import Outcome
from tests.stack.matcher.engines import Process, new, submit, with_partition

GTT, DAY = TimeInForce.GTT, TimeInForce.DAY
COMPILED = not engine.implementations()["cython"]


@pytest.fixture
def running(settings: EngineSettings, implementation: str) -> EngineSettings:
    return replace(settings, implementation=implementation, hft_mode=False, segment_bytes=4096 + 60 * 144)


async def at(partition: Partition, now_ns: int) -> None:
    partition.sequencer.clock = lambda: now_ns


def shows(partition: Partition, order: int) -> tuple[int, int]:
    last = unpack_events(partition.log.chain(order))[-1]
    return last.kind, last.reason


def test_no_order_trades_past_its_time(running: EngineSettings) -> None:
    async def test(partition: Partition) -> Any:
        start = partition.sequencer.time_ns + 10**9
        await at(partition, start)
        _, [accepted] = await submit(partition, new("timed", Side.SELL, tif=GTT, extra=start + 500))
        assert accepted.trade == start + 500
        await at(partition, start + 499)
        await submit(partition, new("early", quantity=1))
        assert partition.engine.live == 1
        await at(partition, start + 500)
        _, events = await submit(partition, new("late", quantity=1))
        assert [event.kind for event in events] == [EventKind.ACCEPTED]
        assert shows(partition, accepted.order) == (EventKind.CANCELLED, Reason.EXPIRED)
        _, [refused] = await submit(partition, new("past", Side.SELL, price=20_000, tif=GTT, extra=start + 500))
        assert refused.reason == Reason.BAD_EXPIRY
        return partition.engine.rules, partition.engine.sequence, partition.engine.state_hash()

    async def stand(partition: Partition) -> Any:
        partition.engine.check_invariants()
        return partition.engine.rules, partition.engine.sequence, partition.engine.state_hash()

    ended = with_partition(running, test)
    assert ended[0] == 3
    assert with_partition(running, stand) == ended
    verified = Verification(Path(running.data_dir), running.implementation)
    verified.run()
    assert (verified.report["problems"], verified.report["state_hash"]) == ([], ended[2])


def test_it_ends_where_nothing_else_comes(running: EngineSettings) -> None:
    async def test(partition: Partition) -> None:
        start = partition.sequencer.time_ns + 10**9
        await at(partition, start)
        _, [accepted] = await submit(partition, new("timed", tif=GTT, extra=start + 5))
        before = partition.durable_sequence
        partition.look_at_clock()
        await asyncio.sleep(0.01)
        assert partition.durable_sequence == before
        await at(partition, start + 5)
        partition.look_at_clock()
        while partition.durable_sequence == before:
            await asyncio.sleep(0.001)
        partition.look_at_clock()
        assert partition.engine.sequence == before + 1
        assert shows(partition, accepted.order) == (EventKind.CANCELLED, Reason.EXPIRED)

    with_partition(running, test)


def test_what_ended_while_nobody_ran_is_gone_before_the_first_order(running: EngineSettings) -> None:
    async def place(partition: Partition) -> int:
        start = partition.sequencer.time_ns + 10**9
        await at(partition, start)
        for n in range(70):
            await submit(partition, new(f"day{n}", Side.SELL, price=300 + n % 7, tif=DAY))
            await submit(
                partition, new(f"gtt{n}", Side.SELL, price=300 + n % 7, tif=GTT, extra=start + 10 * DAY_NS + n)
            )
        return start

    async def come_back(partition: Partition) -> None:
        assert partition.engine.next_expiry == (start // DAY_NS + 1) * DAY_NS
        partition.engine.check_invariants()
        await at(partition, start + 10 * DAY_NS + 34)
        _, events = await submit(partition, new("first", price=400, quantity=5))
        assert [event.kind for event in events] == [EventKind.ACCEPTED, EventKind.FILL]
        assert partition.engine.live == 34

    start = with_partition(running, place)
    if running.implementation == "cython":
        taken = snapshot.take(running, 100)
        assert taken["sequence"] >= 100
    with_partition(running, come_back)


@pytest.mark.skipif(not COMPILED, reason="the compiled engine is not built")
def test_the_process_cancels_by_its_own_clock(process: Process) -> None:
    async def test() -> tuple[int, int]:
        async with process.link() as link:
            await link.wait_connected(20)
            ends = time.time_ns() + 700_000_000
            reply = await link.submit(new("timed", tif=GTT, extra=ends))
            assert reply.outcome == Outcome.DONE
            while True:
                last = (await link.query("order", order=reply.events[0].order)).events[-1]
                if last.reason == Reason.EXPIRED:
                    return ends, last.time_ns
                assert time.time_ns() < ends + 10**10, last
                await asyncio.sleep(0.02)

    process.start()
    ends, seen = asyncio.run(test())
    assert seen >= ends
