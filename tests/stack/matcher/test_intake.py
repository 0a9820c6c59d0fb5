"""The compiled way in against its specification: the same commands give the same journal, events and replies."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.journal import HEADER_BYTES
from engine.records import (
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    EVENT_BYTES,
    Command,
    CommandKind,
    Reason,
    Side,
    TimeInForce,
    unpack_events,
)
from stack.matcher import commits, journal_files, start
from stack.matcher.partition import Partition
from stack.matcher.sequencer_python import Sequencer
from stack.settings import EngineSettings
from stack.wire.frames import REPLY, Outcome
from tests.stack.matcher.engines import IMPLEMENTATIONS, cancel, new, submit, with_partition

packed = pytest.importorskip("stack.matcher.packed", reason="nothing is compiled here")

Told = dict[int, tuple[str, bytes]]  # by token: outcome, events
TURN_NS = 50_000_000
ALONE = (CommandKind.HALT, CommandKind.RESUME, CommandKind.MASS_CANCEL)


class Listener:
    """Takes replies either way."""

    def __init__(self) -> None:
        self.told: Told = {}

    def keep(self, token: int, outcome: str, events: bytes) -> None:
        assert token not in self.told, "told twice"
        self.told[token] = outcome, events

    def reply(self, token: int, outcome: int, events: bytes) -> None:
        self.keep(token, Outcome(outcome).name, bytes(events))

    def lost(self, token: int) -> None:
        for one in self.tokens.pop(token, [token]):
            self.keep(one, "lost", b"")

    tokens: dict[int, list[int]]

    def replies(self, batch: int, count: int, payload: bytes) -> None:
        assert len(self.tokens.pop(batch)) == count
        at = 0
        for _ in range(count):
            token, outcome, events, _ = REPLY.unpack_from(payload, at)
            at += REPLY.size + events * EVENT_BYTES
            self.keep(token, Outcome(outcome).name, payload[at - events * EVENT_BYTES : at])
        assert at == len(payload)


def turns(seed: int) -> list[list[bytes]]:
    """What arrives in each turn of the loop."""
    random_ = random.Random(seed)
    orders: list[bytes] = []

    def one(turn: int) -> bytes:
        at = random_.random()
        if at < 0.10 and orders:
            return random_.choice(orders)
        if at < 0.70:
            orders.append(order(turn))
            return orders[-1]
        return other(at)

    def order(turn: int) -> bytes:
        return new(
            f"id{random_.randrange(300)}",
            random_.choice([Side.BUY, Side.SELL]),
            price=10_000 + random_.randrange(-6, 7),
            quantity=random_.choice([0, 1, 2, 3, 5, 8]),
            account=random_.choice([1, 1, 2, 3]),
            symbol=random_.choice([1, 1, 2, 9]),
            tif=random_.choice([*[TimeInForce.GTC] * 2, *TimeInForce, *[TimeInForce.GTT] * 2]),
            extra=max(1, (turn + random_.randrange(-1, 3)) * TURN_NS + 1),
            flags=random_.choice(
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, CANCEL_NEWEST, CANCEL_OLDEST, CANCEL_NEWEST | CANCEL_OLDEST]
            ),
        )

    def other(at: float) -> bytes:
        target = random_.randrange(5, 600)
        if at < 0.84:
            return cancel(target, account=random_.choice([0, 1, 2]))
        if at < 0.97:
            return Command(
                CommandKind.REPLACE, account=random_.choice([1, 2]), symbol=1, price=10_000 + random_.randrange(-9, 9),
                quantity=random_.randrange(1, 9), target=target, text=f"r{random_.randrange(60)}".encode(),
            ).pack()  # fmt: skip
        return Command(random_.choice(ALONE), account=random_.choice([0, 1]), text=b"why").pack()

    return [[one(turn) for _ in range(random_.choice([1, 2, 9, 40, 75]))] for turn in range(1, 25)]


async def feed(partition: Partition, arrivals: list[list[bytes]], *, batches: bool) -> Told:
    clock = [0]
    partition.sequencer.clock = lambda: clock[0]
    if partition._rate is not None:
        partition._rate.clock = lambda: clock[0] / 1e9
        partition._rate._filled_s = 0.0
    listener, token = Listener(), 0
    listener.tokens = {}
    for arrived in arrivals:
        clock[0] += TURN_NS
        together: list[bytes] = []
        for command in [*arrived, b""]:
            if batches and command and command[0] not in ALONE:
                together.append(command[:92] + token.to_bytes(4, "little"))
            elif together:
                batch = 1_000_000 + token
                listener.tokens[batch] = [int.from_bytes(one[92:], "little") for one in together]
                packed.submit(partition.intake, b"".join(together), listener, batch)
                together = []
            if command and (not batches or command[0] in ALONE):
                partition.submit(command, listener, token)
            token += 1
        while partition.unacknowledged:
            await asyncio.sleep(0)
    assert not listener.tokens
    return listener.told


def written(folder: Path) -> dict[str, bytes]:
    """Records and events; headers tell when they were made, and files made ahead are there or not yet."""
    files = {path.name: path.read_bytes()[HEADER_BYTES:] for path in sorted((folder / "journal").glob("*.journal"))}
    files |= {path.name: path.read_bytes() for path in sorted((folder / "events").iterdir())}
    return {name: data for name, data in files.items() if any(data)}


def reasons(files: dict[str, bytes]) -> set[int]:
    """Of all events that were logged."""
    logged = b"".join(data.rstrip(b"\0") for name, data in files.items() if name.endswith(".events"))
    return {one.reason for one in unpack_events(logged.ljust(-(-len(logged) // EVENT_BYTES) * EVENT_BYTES, b"\0"))}


def both(
    settings: EngineSettings, folder: Path, patch: pytest.MonkeyPatch, engine: str, seed: int, fail_at: int = 0
) -> tuple[Any, Any]:
    patch.setattr(commits, "SYNC_INLINE_MAX_S", 3600.0)  # how commits are grouped must not hang on the disk
    patch.setattr(commits, "WATERMARK_IDLE_S", 3600.0)  # nor when a sync is counted
    patch.setattr(start, "new_journal", lambda: 1)
    sync = journal_files.fdatasync
    left = [0]

    def failing(fd: int) -> None:
        if (
            threading.current_thread() is threading.main_thread()
        ):  # others sync what is made ahead: neither counted nor failed
            left[0] -= 1
            if left[0] == 0:
                raise OSError(5, "Input/output error")
        sync(fd)

    results = []
    for name in ("specification", "compiled"):
        own = replace(
            settings, data_dir=str(folder / name), implementation="python" if name == "specification" else engine
        )

        async def run(partition: Partition) -> Told:
            if fail_at:
                partition._loop.set_exception_handler(lambda *_: None)
                left[0] = fail_at
                patch.setattr(journal_files, "fdatasync", failing)
            return await feed(partition, turns(seed), batches=partition.intake is not None)

        def made(*args: Any, **named: Any) -> Partition:
            if name == "specification":  # noqa: B023
                named["sequencer"] = Sequencer
            partition = Partition(*args, **named)
            partition.sequencer.clock = lambda: 1
            return partition

        with patch.context() as during:
            during.setattr(start, "Partition", made)
            told = with_partition(own, run)
        patch.setattr(journal_files, "fdatasync", sync)
        results.append((told, written(Path(own.data_dir))))
    return results[0], results[1]


@pytest.mark.parametrize("engine", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"segment_bytes": 4096 + 37 * 144, "client_ids_max": 50},
        {"max_unacknowledged": 30},
        {"max_orders_per_second": 60},
    ],
    ids=["plenty", "segments-and-rolls", "busy", "rate"],
)
def test_batches_give_the_same_bytes_and_replies(
    settings: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, limits: dict[str, int]
) -> None:
    specification, compiled = both(replace(settings, **limits), tmp_path, monkeypatch, engine, seed=len(limits) + 7)
    assert limits or reasons(specification[1]) >= {Reason.EXPIRED, Reason.SELF_TRADE, Reason.BAD_EXPIRY}
    outcomes = {outcome for outcome, _ in specification[0].values()}
    assert {"DONE", "REPEAT", "CONFLICT"} <= outcomes
    assert ("BUSY" in outcomes) == ("max_unacknowledged" in limits or "max_orders_per_second" in limits)
    assert compiled[0] == specification[0]
    assert compiled[1] == specification[1]
    if "segment_bytes" in limits:
        assert len(compiled[1]) > 12, "segments began in the middle of batches"


@pytest.mark.parametrize("fail_at", [1, 5, 16])
def test_a_disk_that_fails_loses_the_same_commands(
    settings: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail_at: int
) -> None:
    small = replace(settings, segment_bytes=4096 + 37 * 144)
    specification, compiled = both(small, tmp_path, monkeypatch, IMPLEMENTATIONS[0], seed=3, fail_at=fail_at)
    assert {"lost", "STOPPED"} <= {outcome for outcome, _ in specification[0].values()}
    assert compiled == specification


def test_a_whole_batch_that_is_turned_away_is_told_at_once(settings: EngineSettings) -> None:
    async def test(partition: Partition) -> None:
        listener = Listener()
        listener.tokens = {5: [0]}
        waiting = [submit(partition, new(f"a{number}")) for number in range(3)]
        packed.submit(partition.intake, new("late"), listener, 5)
        assert listener.told == {0: ("BUSY", b"")}
        await asyncio.gather(*waiting)
        partition.stopped = "the test says so"
        listener.told, listener.tokens = {}, {6: [0]}
        packed.submit(partition.intake, new("later"), listener, 6)
        assert listener.told == {0: ("STOPPED", b"")}

    with_partition(replace(settings, max_unacknowledged=3), test)


def test_what_is_no_order_is_refused_before_anything_is_decided(settings: EngineSettings) -> None:
    async def test(partition: Partition) -> None:
        halt = Command(CommandKind.HALT, text=b"no").pack()
        with pytest.raises(ValueError, match="kind 5"):
            packed.submit(partition.intake, new("a") + halt, Listener(), 1)
        assert partition.engine.sequence == 4 and not partition.halted and not partition.unacknowledged

    with_partition(settings, test)


def test_an_order_that_meets_others_in_its_batch_is_shown_its_own_events(settings: EngineSettings) -> None:
    async def test(partition: Partition) -> None:
        listener = Listener()
        listener.tokens = {1: [0, 0, 0]}
        seen: list[list[Any]] = []
        listener.keep = lambda _token, _outcome, events: seen.append(unpack_events(events))  # type: ignore[method-assign]
        packed.submit(partition.intake, new("m1") + new("m2") + new("t", Side.SELL, quantity=10), listener, 1)
        while partition.unacknowledged:
            await asyncio.sleep(0)
        assert [len(events) for events in seen] == [1, 1, 3]
        assert all(event.order == events[0].sequence for events in seen for event in events)
        assert len(partition.log.chain(seen[0][0].order)) == 2 * EVENT_BYTES

    with_partition(settings, test)
