"""The partition in this process: what is answered, when, and what a restart finds."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.records import Command, CommandKind, EventKind, Reason, Side
from stack.matcher import commits, journal_files
from stack.matcher.partition import Partition
from stack.matcher.sequencer import Group
from stack.settings import EngineSettings
from stack.wire.frames import Outcome
from tests.stack.matcher.engines import Taken, cancel, new, submit, with_partition


def replace_order(target: int, request: str, price: int = 10_000, quantity: int = 5) -> bytes:
    return Command(
        CommandKind.REPLACE, account=1, symbol=1, price=price, quantity=quantity, target=target, text=request.encode()
    ).pack()


def kinds(events: list) -> list[EventKind]:
    return [EventKind(event.kind) for event in events]


def test_an_order_is_answered_with_its_own_events_and_not_its_makers(
    settings: EngineSettings, implementation: str
) -> None:
    async def test(partition: Partition) -> None:
        first, second = submit(partition, new("m1")), submit(partition, new("t1", Side.SELL))
        outcome, events = await first
        assert (outcome, kinds(events)) == (Outcome.DONE, [EventKind.ACCEPTED])
        outcome, events = await second
        assert kinds(events) == [EventKind.ACCEPTED, EventKind.FILL]
        assert {event.order for event in events} == {events[0].sequence}
        assert partition.tally.fills == 2

    with_partition(replace(settings, implementation=implementation), test)


def test_cancel_and_replace_are_answered_with_the_whole_chain(settings: EngineSettings, implementation: str) -> None:
    async def test(partition: Partition) -> None:
        _, (accepted,) = await submit(partition, new("a"))
        _, chain = await submit(partition, replace_order(accepted.order, "r1", price=10_001))
        assert kinds(chain) == [EventKind.ACCEPTED, EventKind.REPLACED]
        repeated = await submit(partition, replace_order(accepted.order, "r1", price=10_001))
        assert (repeated[0], kinds(repeated[1])) == (Outcome.REPEAT, kinds(chain))
        assert (await submit(partition, replace_order(accepted.order, "r1", price=9)))[0] == Outcome.CONFLICT
        _, chain = await submit(partition, cancel(accepted.order))
        assert kinds(chain) == [EventKind.ACCEPTED, EventKind.REPLACED, EventKind.CANCELLED]
        # Again: refused, and the closed order's chain tells its owner what became of it.
        _, chain = await submit(partition, cancel(accepted.order))
        assert kinds(chain)[0] == EventKind.REFUSED and kinds(chain)[-1] == EventKind.CANCELLED
        assert chain[0].reason == Reason.UNKNOWN_ORDER
        _, stranger = await submit(partition, cancel(accepted.order, account=2))
        assert kinds(stranger) == [EventKind.REFUSED]
        _, never = await submit(partition, cancel(999_999))
        assert kinds(never) == [EventKind.REFUSED]

    with_partition(replace(settings, implementation=implementation), test)


def test_a_repeat_in_the_same_group_waits_for_the_original(settings: EngineSettings, implementation: str) -> None:
    async def test(partition: Partition) -> None:
        first, second, third = (submit(partition, new("a", price=price)) for price in (10_000, 10_000, 10_001))
        assert not second.done()
        assert [(await reply)[0] for reply in (first, second, third)] == [
            Outcome.DONE, Outcome.REPEAT, Outcome.CONFLICT,
        ]  # fmt: skip
        assert (await first)[1] == (await second)[1] == (await third)[1]
        assert partition.engine.sequence == 5  # four definitions and one order

    with_partition(replace(settings, implementation=implementation), test)


def test_a_repeat_after_fills_and_a_restart_shows_the_original_acknowledgement(settings: EngineSettings) -> None:
    async def first(partition: Partition) -> list:
        _, original = await submit(partition, new("a"))
        await submit(partition, new("b", Side.SELL))
        return original

    async def second(partition: Partition) -> tuple[int, list]:
        return await submit(partition, new("a"))

    original = with_partition(settings, first)
    assert with_partition(settings, second) == (Outcome.REPEAT, original)


def test_a_refused_id_may_be_sent_again(settings: EngineSettings, implementation: str) -> None:
    async def test(partition: Partition) -> None:
        _, (refused,) = await submit(partition, new("a", quantity=0))
        assert (refused.kind, refused.reason) == (EventKind.REFUSED, Reason.BAD_QUANTITY)
        outcome, events = await submit(partition, new("a"))
        assert (outcome, kinds(events)) == (Outcome.DONE, [EventKind.ACCEPTED])

    with_partition(replace(settings, implementation=implementation), test)


def test_ids_are_rolled_by_a_journalled_command_when_the_generation_is_full(settings: EngineSettings) -> None:
    small = replace(settings, client_ids_max=8)

    async def fill(partition: Partition) -> int:
        for number in range(20):
            await submit(partition, new(f"a{number}", price=1 + number))
        return partition.engine.state_hash()

    async def look(partition: Partition) -> int:
        rolled = [event for event in range(partition.log.end) if partition.log.peek(event, 1)[76] == 10]
        assert len(rolled) == 2
        return partition.engine.state_hash()

    assert with_partition(small, fill) == with_partition(small, look)


def test_time_never_goes_back(settings: EngineSettings) -> None:
    times = iter([5_000, 4_000, 6_000])

    async def test(partition: Partition) -> None:
        partition.sequencer.time_ns = 1_000
        partition.sequencer.clock = lambda: next(times)
        seen = [(await submit(partition, new(f"a{number}")))[1][0].time_ns for number in range(3)]
        assert seen == [5_000, 5_000, 6_000]

    with_partition(settings, test)


def test_too_many_orders_in_a_second_are_busy_and_leave_no_trace(settings: EngineSettings) -> None:
    async def test(partition: Partition) -> None:
        replies = await asyncio.gather(*(submit(partition, new(f"a{number}")) for number in range(40)))
        outcomes = [outcome for outcome, _ in replies]
        assert outcomes[:10] == [Outcome.DONE] * 10
        assert outcomes.count(Outcome.BUSY) >= 25
        assert partition.engine.sequence == 4 + outcomes.count(Outcome.DONE)
        assert (await submit(partition, new("a0")))[0] == Outcome.REPEAT
        assert (await submit(partition, cancel(5)))[0] == Outcome.DONE  # cancels are no orders

    with_partition(replace(settings, max_orders_per_second=10), test)


class SlowDisk:
    """Holds every sync until `release`, as a stalled disk does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.open.set()
        self.waiting = threading.Event()
        real = journal_files.fdatasync

        def sync(fd: int) -> None:
            if not self.open.is_set():
                self.waiting.set()
                self.open.wait(30)
            real(fd)

        monkeypatch.setattr(journal_files, "fdatasync", sync)


def test_a_stalled_disk_gives_busy_at_the_limit_while_the_loop_goes_on(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)

    async def test(partition: Partition) -> None:
        partition._commits._slow_s = 1.0  # the last sync was slow, so the next one runs in a thread
        disk.open.clear()
        replies = [submit(partition, new(f"a{number}", price=1 + number)) for number in range(10)]
        await asyncio.to_thread(disk.waiting.wait, 20)
        replies += [submit(partition, new(f"b{number}", price=1 + number)) for number in range(10)]
        late = await submit(partition, new("late"))
        assert late == (Outcome.BUSY, [])
        assert not any(reply.done() for reply in replies)
        assert partition.log.end == partition.durable_sequence == 4  # nothing is shown before it is durable
        seen: list[int] = []
        partition.when_durable(lambda: seen.append(partition.durable_sequence), lambda: seen.append(-1))
        halt = submit(partition, Command(CommandKind.HALT, text=b"stop").pack())
        assert partition.halted  # at once, whatever the disk does
        disk.open.set()
        assert [(await reply)[0] for reply in replies] == [Outcome.DONE] * 20
        assert kinds((await halt)[1]) == [EventKind.HALTED]
        assert seen == [25]

    with_partition(replace(settings, max_unacknowledged=20), test)


def test_syncs_go_to_a_thread_after_several_slow_ones_and_come_back_after_a_fast_one(settings: EngineSettings) -> None:
    took_s = [0.002, 0.0005, 0.002, 0.005, 0.001, 0.002, 0.0005, 0.0005]
    threads: list[str] = []

    async def test(partition: Partition) -> None:
        real = partition.journal.commit

        def commit(groups: list[Group]) -> float:
            real(groups)
            threads.append(threading.current_thread().name)
            return took_s[len(threads) - 1]

        partition.journal.commit = commit  # type: ignore[method-assign]
        for number in range(len(took_s)):
            assert (await submit(partition, new(f"a{number}", price=1 + number)))[0] == Outcome.DONE
        partition.journal.commit = real  # type: ignore[method-assign]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commits, "WATERMARK_IDLE_S", 3600.0)
        with_partition(settings, test)
    assert [name == "journal" for name in threads] == [False] * 5 + [True] * 2 + [False]


def test_replies_come_in_the_order_of_their_commands(settings: EngineSettings) -> None:
    class Ordered(Taken):
        def reply(self, token: int, outcome: int, events: bytes) -> None:
            seen.append(token)

    seen: list[int] = []

    async def test(partition: Partition) -> None:
        for token in range(500):
            partition.submit(new(f"a{token % 400}", price=1 + token % 400), Ordered(), token)
            if token % 37 == 0:
                await asyncio.sleep(0)
        await submit(partition, new("end"))
        assert seen == list(range(500))

    with_partition(settings, test)


def test_many_segments_are_written_and_replayed(settings: EngineSettings, implementation: str) -> None:
    small = replace(settings, segment_bytes=4096 + 20 * 144, implementation=implementation)

    async def fill(partition: Partition) -> tuple[int, int]:
        await asyncio.gather(*(submit(partition, new(f"a{number}", price=1 + number)) for number in range(150)))
        for number in range(50):
            await submit(partition, new(f"b{number}", Side.SELL, price=1 + number))
        return partition.engine.state_hash(), partition.epoch

    async def look(partition: Partition) -> tuple[int, int]:
        assert partition.durable_sequence == 204
        assert (await submit(partition, new("a7", price=8)))[0] == Outcome.REPEAT
        return partition.engine.state_hash(), partition.epoch

    assert with_partition(small, fill) == with_partition(small, look)
    assert len(list((Path(settings.data_dir) / "journal").glob("*.journal"))) == 12  # eleven used, one spare


def test_the_event_log_is_rebuilt_from_the_journal(settings: EngineSettings) -> None:
    async def fill(partition: Partition) -> bytes:
        for number in range(20):
            await submit(partition, new(f"a{number}"))
        await submit(partition, new("s", Side.SELL, quantity=30))
        return partition.log.peek(0, partition.log.end)

    async def look(partition: Partition) -> bytes:
        assert kinds((await submit(partition, cancel(5)))[1]) == [
            EventKind.REFUSED, EventKind.ACCEPTED, EventKind.FILL,
        ]  # fmt: skip
        return partition.log.peek(0, partition.log.end - 1)

    written = with_partition(settings, fill)
    folder = Path(settings.data_dir) / "events"
    events, index = folder / "00000000.events", folder / "00000000.index"
    data = bytearray(events.read_bytes())
    data[10 * 128 + 5] ^= 1
    data[len(written) : len(written) + 128] = b"x" * 128  # of a command that never became durable
    events.write_bytes(data)
    index.write_bytes(bytes(100))
    assert with_partition(settings, look) == written
    events.unlink()
    assert with_partition(settings, look)[: len(written)] == written
