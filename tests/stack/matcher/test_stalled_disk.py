"""What one client may take from the others while the disk is stalled."""

from __future__ import annotations

import asyncio

import pytest

from stack.matcher.partition import Partition
from stack.matcher.session import QUERIES_MAX
from stack.settings import EngineSettings
from stack.wire.frames import FrameType, Outcome
from tests.stack.matcher.engines import new
from tests.stack.matcher.session_clients import IMPLEMENTATIONS, Opened, with_sessions


def stall(partition: Partition) -> None:
    """As while a commit runs in its thread."""
    partition._commits._running = []


def go_on(partition: Partition) -> None:
    partition._commits._running = None
    partition._commits.flush()


@pytest.mark.parametrize("frames", IMPLEMENTATIONS)
def test_a_session_that_asks_on_and_on_keeps_no_order_out(
    frames: str, settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(opened: Opened) -> None:
        curious, trading = await opened.client(), await opened.client()
        stall(opened.partition)
        for request in range(1, 501):
            curious.send(FrameType.QUERY, {"query": "book", "symbol": 1}, request=request)
        await curious.writer.drain()
        while opened.partition.unacknowledged < QUERIES_MAX:
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.1)
        assert opened.partition.unacknowledged == QUERIES_MAX
        trading.submit(new("a"))
        while opened.partition.unacknowledged == QUERIES_MAX:
            await asyncio.sleep(0.002)
        go_on(opened.partition)
        ((_, outcome, _),) = (await trading.receive()).replies()
        assert outcome == Outcome.DONE
        assert [(await curious.receive()).request for _ in range(500)] == list(range(1, 501))

    with_sessions(settings, frames, test, monkeypatch)
