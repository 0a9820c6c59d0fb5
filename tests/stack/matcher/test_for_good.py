"""Any exception on the way to the disk stops the partition for good, as a sync error does, and the restart knows the truth.

The exceptions are bugs of our own that nobody has written yet, so they can only be put there by the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from engine.records import Command, CommandKind
from stack.matcher import replies
from stack.matcher.partition import Partition
from stack.settings import EngineSettings
from stack.wire.frames import Outcome
from tests.stack.matcher.engines import new, opened, submit, with_partition


class Counting:
    """A reply target that counts what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def reply(self, _token: int, outcome: int, _events: bytes) -> None:
        self.told.append(Outcome(outcome).name)

    def lost(self, _token: int) -> None:
        self.told.append("lost")


def broken_once(real: Callable[..., Any], at: int = 1) -> Callable[..., Any]:
    """`real`, but its `at`th call fails; the calls after it work again."""
    calls = 0

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise AttributeError("put there by the test")
        return real(*arguments, **named)

    return call


def in_closing_a_group(partition: Partition, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(partition._commits, "_collect", broken_once(partition._commits._collect))


def in_the_second_write(partition: Partition, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(partition.journal, "_write", broken_once(partition.journal._write, 2))


def in_a_thread(partition: Partition, patch: pytest.MonkeyPatch) -> None:
    partition._commits._slow_s = 1.0  # the last sync was slow
    in_the_second_write(partition, patch)


def in_the_event_log(partition: Partition, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(partition.log, "append", broken_once(partition.log.append))


def in_the_third_answer(_partition: Partition, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replies, "answer", broken_once(replies.answer, 3))


def after_the_replies(partition: Partition, _patch: pytest.MonkeyPatch) -> None:
    partition.after_release(broken_once(lambda: None))


def in_telling_readers_of_events(partition: Partition, _patch: pytest.MonkeyPatch) -> None:
    partition.on_events = broken_once(lambda: None)


BREAKS = {
    in_closing_a_group: ["lost"] * 4,
    in_the_second_write: ["lost"] * 4,
    in_a_thread: ["lost"] * 4,
    in_the_event_log: ["lost"] * 4,
    in_the_third_answer: ["DONE", "DONE", "lost", "lost"],
    after_the_replies: ["DONE"] * 4,
    in_telling_readers_of_events: ["DONE"] * 4,
}


@pytest.mark.parametrize("break_", BREAKS, ids=lambda break_: break_.__name__)
def test_an_unexpected_error_stops_for_good_and_tells_each_client_once(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch, break_: Callable[[Partition, pytest.MonkeyPatch], None]
) -> None:
    failures: list[str] = []
    names = ["a0", "a1", "a2", "a3"]

    async def break_it() -> list[str]:
        partition = await opened(settings, failures)
        break_(partition, monkeypatch)
        targets = [Counting() for _ in names]
        for target, name in zip(targets, names, strict=True):
            partition.submit(new(name), target, 0)
        while not failures:
            await asyncio.sleep(0)
        for late in range(3):
            assert (await submit(partition, new(f"late-{late}")))[0] == Outcome.STOPPED
        await partition.close()
        partition.log.close()
        assert [len(target.told) for target in targets] == [1] * 4
        return [target.told[0] for target in targets]

    async def look(partition: Partition) -> None:
        """One record each at most, and none of what came late."""
        assert partition.durable_sequence in (4, 8)
        for name, was in zip(names, told, strict=True):
            outcome, _ = await submit(partition, new(name))
            assert outcome == Outcome.REPEAT or was == "lost"
        assert partition.engine.sequence == partition.engine.live + 4 == 8

    told = asyncio.run(asyncio.wait_for(break_it(), 30))
    assert told == BREAKS[break_]
    assert len(failures) == 1 and "AttributeError: put there by the test" in failures[0]
    with_partition(settings, look)


def test_a_failing_roll_of_ids_tells_the_order_that_caused_it(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[str] = []

    async def test(partition: Partition) -> None:
        monkeypatch.setattr(partition, "_decide", broken_once(partition._decide, 2))
        target = Counting()
        partition.submit(new("a"), target, 0)
        assert target.told == ["lost"]
        assert (await submit(partition, new("b")))[0] == Outcome.STOPPED

    with_partition(replace(settings, client_ids_max=1), test, failures)
    assert len(failures) == 1


def test_replaces_roll_the_ids_too(settings: EngineSettings, implementation: str) -> None:
    async def test(partition: Partition) -> None:
        _, (accepted,) = await submit(partition, new("a"))
        for number in range(50):
            command = Command(
                CommandKind.REPLACE, account=1, symbol=1, price=100 + number, quantity=5, target=accepted.order,
                text=f"r{number}".encode(),
            )  # fmt: skip
            assert (await submit(partition, command.pack()))[0] == Outcome.DONE
            assert partition.engine.client_ids < 8

    with_partition(replace(settings, implementation=implementation, client_ids_max=8), test)
