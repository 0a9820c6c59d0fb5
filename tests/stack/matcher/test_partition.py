from __future__ import annotations

from engine.records import EventKind, Side
from stack.matcher.partition import Partition
from stack.settings import EngineSettings
from stack.wire.frames import Outcome
from tests.stack.matcher.engines import new, submit, with_partition


def test_an_order_is_answered_with_its_own_events_and_its_maker_with_none(settings: EngineSettings) -> None:
    async def test(partition: Partition) -> None:
        first, second = submit(partition, new("m1")), submit(partition, new("t1", Side.SELL))
        outcome, events = await first
        assert (outcome, [event.kind for event in events]) == (Outcome.DONE, [EventKind.ACCEPTED])
        outcome, events = await second
        assert [event.kind for event in events] == [EventKind.ACCEPTED, EventKind.FILL]
        assert {event.order for event in events} == {events[0].sequence}

    with_partition(settings, test)
