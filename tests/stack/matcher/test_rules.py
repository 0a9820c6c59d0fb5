"""Newer rules in a partition's files: adopted by the first order that needs them, refused by name by an engine without them."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import engine
from engine.journal import HEADER_BYTES, SegmentHeader
from engine.records import CANCEL_NEWEST, EventKind, Reason, Side, unpack_events
from stack.matcher import journal_read, snapshot, snapshot_file
from stack.matcher.partition import Partition
from stack.matcher.refusal import EXIT_REFUSED, StartRefused
from stack.matcher.snapshot_file import describe, snapshot_paths
from stack.matcher.verify import Verification
from stack.settings import EngineSettings
from stack.wire.frames import Outcome
from tests.engine.test_rules import GOLDEN
from tests.stack.matcher.engines import new, submit, with_partition

COMPILED = not engine.implementations()["cython"]


@pytest.fixture
def running(settings: EngineSettings, implementation: str) -> EngineSettings:
    return replace(settings, implementation=implementation, hft_mode=False, segment_bytes=4096 + 60 * 144)


def versions(settings: EngineSettings) -> list[int]:
    """What the headers of the segments say that were begun."""
    found = []
    for path in sorted((Path(settings.data_dir) / "journal").glob("*.journal")):
        head = path.read_bytes()[:HEADER_BYTES]
        if any(head):
            found.append(SegmentHeader.decode(head).rules_version)
    return found


async def stand(partition: Partition) -> tuple[int, int, int]:
    partition.engine.check_invariants()
    return partition.engine.rules, partition.engine.sequence, partition.engine.state_hash()


async def ordinary(partition: Partition) -> tuple[int, int, int]:
    await asyncio.gather(*(submit(partition, new(f"a{n}", price=100 + n)) for n in range(8)))
    return await stand(partition)


async def newer(partition: Partition) -> tuple[int, int, int]:
    await submit(partition, new("mine", Side.SELL, price=300))
    outcome, events = await submit(partition, new("newest", price=300, flags=CANCEL_NEWEST))
    assert (outcome, [event.kind for event in events]) == (Outcome.DONE, [EventKind.ACCEPTED, EventKind.CANCELLED])
    assert events[1].reason == Reason.SELF_TRADE
    assert (await submit(partition, new("newest", price=300, flags=CANCEL_NEWEST)))[0] == Outcome.REPEAT
    await asyncio.gather(*(submit(partition, new(f"b{n}", price=90, flags=CANCEL_NEWEST)) for n in range(70)))
    return await stand(partition)


def test_the_first_order_that_needs_them_adopts_them_in_a_segment_of_its_own(running: EngineSettings) -> None:
    assert with_partition(running, ordinary)[0] == 1
    assert versions(running) == [1]
    ended = with_partition(running, newer)
    assert ended[0] == 2
    assert versions(running) == [1, 2, 2]
    assert with_partition(running, stand) == ended
    verified = Verification(Path(running.data_dir), running.implementation)
    verified.run()
    assert (verified.report["problems"], verified.report["state_hash"]) == ([], ended[2])


def test_they_are_adopted_by_the_very_first_order_too(running: EngineSettings) -> None:
    bare = replace(running, instruments=[], accounts=[])

    async def refused(partition: Partition) -> tuple[int, int, int]:
        assert (await submit(partition, new("x", flags=CANCEL_NEWEST)))[1][0].reason == Reason.UNKNOWN_ACCOUNT
        return await stand(partition)

    ended = with_partition(bare, refused)
    assert ended[:2] == (2, 2)
    assert versions(bare) == [1, 2]
    assert with_partition(bare, stand) == ended


def test_an_engine_without_them_refuses_by_name(running: EngineSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    with_partition(running, ordinary)
    monkeypatch.setattr(journal_read, "RULES_VERSION", 1)
    monkeypatch.setattr(snapshot_file, "RULES_VERSION", 1)
    before = with_partition(running, stand)  # nothing new was used: the older engine goes on
    assert before[0] == 1
    ended = with_partition(running, newer)
    monkeypatch.undo()
    if running.implementation == "cython":
        snapshot.take(running, ended[1])
    monkeypatch.setattr(journal_read, "RULES_VERSION", 1)
    monkeypatch.setattr(snapshot_file, "RULES_VERSION", 1)
    files = {path: path.read_bytes() for path in (Path(running.data_dir) / "journal").iterdir()}
    with pytest.raises(
        StartRefused, match="written under rules 2, and this engine knows rules up to 1; start a release"
    ) as told:
        with_partition(running, stand)
    assert told.value.exit_code == EXIT_REFUSED
    assert files == {path: path.read_bytes() for path in (Path(running.data_dir) / "journal").iterdir()}
    monkeypatch.undo()
    assert with_partition(running, stand)[0] == 2


@pytest.mark.skipif(not COMPILED, reason="the compiled engine is not built")
def test_a_snapshot_keeps_them(settings: EngineSettings) -> None:
    running = replace(settings, implementation="cython", hft_mode=False, segment_bytes=4096 + 60 * 144)
    with_partition(running, ordinary)
    ended = with_partition(running, newer)
    snapshot.take(running, ended[1])
    assert describe(snapshot_paths(Path(running.data_dir))[0]).rules_version == 2

    async def from_snapshot(partition: Partition) -> Any:
        assert partition.recovery.from_snapshot == ended[1]
        return await stand(partition)

    assert with_partition(running, from_snapshot) == ended


def test_what_an_engine_of_rules_1_left_is_begun_from(running: EngineSettings) -> None:
    """Its journal in full, then from its snapshot; then the same files go on under newer rules."""
    due = json.loads((GOLDEN / "expected.json").read_text())
    data = Path(running.data_dir)
    (data / "journal").mkdir(parents=True)
    shutil.copy(GOLDEN / "limits.json", data)
    for path in GOLDEN.glob("*.journal.gz"):
        whole = gzip.decompress(path.read_bytes()).ljust(due["segment_bytes"], b"\0")
        (data / "journal" / path.stem).write_bytes(whole)
    old = replace(running, max_live_orders=512, client_ids_max=256, segment_bytes=due["segment_bytes"])
    assert with_partition(old, stand) == (1, due["sequence"], due["state_hash"])
    (data / "snapshots").mkdir()
    for path in GOLDEN.glob("*.snapshot.gz"):
        (data / "snapshots" / path.stem).write_bytes(gzip.decompress(path.read_bytes()))

    async def goes_on(partition: Partition) -> Any:
        if running.implementation == "cython":
            assert (partition.recovery.from_snapshot, partition.recovery.skipped) == (due["snapshot"], ())
        assert await stand(partition) == (1, due["sequence"], due["state_hash"])
        await submit(partition, b"\6" + bytes(95))  # RESUME
        await submit(partition, new("mine", Side.SELL, price=30_000))
        _, events = await submit(partition, new("newest", price=30_000, quantity=10**9, flags=CANCEL_NEWEST))
        assert events[-1].reason == Reason.SELF_TRADE
        adopted = unpack_events(partition.log.peek(due["events"] + 1, 20))
        assert EventKind.RULES_ADOPTED in [event.kind for event in adopted]
        return await stand(partition)

    ended = with_partition(old, goes_on)
    assert with_partition(old, stand) == ended
