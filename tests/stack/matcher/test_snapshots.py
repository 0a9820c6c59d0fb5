"""Snapshots: a start from one comes to what a full replay comes to, whatever happened to the files or to who wrote them."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import engine
from engine.journal import crc32c
from engine.records import EventKind
from stack.matcher import snapshot, snapshot_file
from stack.matcher.partition import Partition
from stack.matcher.refusal import EXIT_DAMAGED, StartRefused
from stack.matcher.snapshot_file import Unusable, describe, snapshot_paths
from stack.matcher.snapshots import Snapshots
from stack.settings import EngineSettings
from stack.wire.frames import Outcome
from tests.stack.matcher.engines import cancel, new, submit, with_partition
from tests.stack.matcher.filled import compiled_settings, fill, filled_and_taken, in_full, newest, recovery, stand

pytestmark = pytest.mark.skipif(bool(engine.implementations()["cython"]), reason="the compiled engine is not built")


@pytest.fixture
def compiled(settings: EngineSettings) -> Iterator[EngineSettings]:
    with compiled_settings(settings) as compiled:
        yield compiled


def test_a_start_replays_only_what_lies_above(compiled: EngineSettings, tmp_path: Path) -> None:
    ended = filled_and_taken(compiled)

    async def look(partition: Partition) -> Any:
        assert (await submit(partition, new("r0-3", price=103)))[0] == Outcome.REPEAT
        assert (await submit(partition, new("rest-3", price=104)))[0] == Outcome.CONFLICT
        assert sorted(partition.tables.symbols) == ["AAPL", "BTCUSD"]
        assert partition.tables.symbols["BTCUSD"].lot.text(1) == "0.00000001"
        assert list(partition.tables.accounts.values()) == ["alice", "bob"]
        oldest = partition.engine.live_orders(limit=1)[0]
        _, events = await submit(partition, cancel(oldest))
        assert events[0].kind == EventKind.ACCEPTED  # logged below the snapshot
        return partition.recovery

    before = in_full(compiled, tmp_path / "copy")
    assert with_partition(compiled, stand) == before == ended
    found = with_partition(compiled, look)
    assert found.from_snapshot == describe(newest(compiled)).point.sequence
    assert found.replayed == ended[0] - found.from_snapshot
    assert found.skipped == ()
    assert with_partition(compiled, stand) == in_full(compiled, tmp_path / "copy")


def emptied_from(path: Path, offset: int) -> None:
    size = path.stat().st_size
    os.truncate(path, offset)
    os.truncate(path, size)


def test_the_event_log_above_a_snapshot_is_rebuilt(compiled: EngineSettings) -> None:
    ended = filled_and_taken(compiled)
    point = describe(newest(compiled)).point

    async def everything(partition: Partition) -> tuple[bytes, list[bytes]]:
        return partition.log.peek(0, partition.log.end), [partition.log.chain(order) for order in range(ended[0])]

    before = with_partition(compiled, everything)
    path = Path(compiled.data_dir) / "events" / "00000000.events"
    emptied_from(path, point.events * 128)
    emptied_from(Path(compiled.data_dir) / "events" / "00000000.index", (point.sequence + 1) * 8)
    assert with_partition(compiled, everything) == before


def damage_everywhere(path: Path) -> list[Callable[[], None]]:
    whole = path.read_bytes()

    def flipped(at: int) -> Callable[[], None]:
        return lambda: path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])

    document = int.from_bytes(whole[12:16], "little")
    places = [0, 9, 13, 20, 16 + document - 1, *range(4096, len(whole), 509)]
    cuts = [0, 100, 4096, 5000, len(whole) - 1]
    return [*map(flipped, places), *(lambda n=n: path.write_bytes(whole[:n]) for n in cuts)]


def test_a_damaged_one_is_named_and_the_older_one_taken(compiled: EngineSettings) -> None:
    ended = filled_and_taken(compiled)
    path = newest(compiled)
    older = snapshot_paths(Path(compiled.data_dir))[1]
    for break_it in damage_everywhere(path)[::13]:
        break_it()
        found = with_partition(compiled, recovery)
        assert found.from_snapshot == int(older.stem)
        assert len(found.skipped) == 1 and found.skipped[0].startswith(path.name)
    older.write_bytes(b"nothing")
    found = with_partition(compiled, recovery)
    assert (found.from_snapshot, found.replayed) == (0, ended[0])
    assert with_partition(compiled, stand) == ended


def test_every_damaged_byte_is_found(compiled: EngineSettings) -> None:
    filled_and_taken(compiled)
    path = newest(compiled)
    for break_it in damage_everywhere(path):
        break_it()
        book: Any = engine.create("cython", max_live_orders=4096, client_ids_max=4096, faulted_in=False)
        with pytest.raises(Unusable):
            snapshot_file.load_snapshot(path, describe(path), book)


def test_one_of_another_journal_is_not_taken(compiled: EngineSettings, tmp_path: Path) -> None:
    filled_and_taken(compiled)
    other = replace(compiled, data_dir=str(tmp_path / "other"))
    ended = with_partition(other, lambda partition: fill(partition, "other", 140))
    shutil.copytree(Path(compiled.data_dir) / "snapshots", Path(other.data_dir) / "snapshots")
    found = with_partition(other, recovery)
    assert found.from_snapshot == 0 and len(found.skipped) == 2
    assert all("not of this journal" in why for why in found.skipped)
    assert with_partition(other, stand) == ended


def test_an_event_log_that_is_gone_is_made_anew_from_the_journal(compiled: EngineSettings) -> None:
    ended = filled_and_taken(compiled)
    shutil.rmtree(Path(compiled.data_dir) / "events")
    found = with_partition(compiled, recovery)
    assert found.from_snapshot == 0 and "event log below it is not whole" in found.skipped[0]
    assert with_partition(compiled, stand) == ended


def rewritten(path: Path, **changes: Any) -> None:
    """With another description, its checksum right."""
    data = bytearray(path.read_bytes())
    point = {key: changes.pop(key) for key in list(changes) if key in describe(path).point._fields}
    described = describe(path)
    described = replace(described, point=described.point._replace(**point), **changes)
    document = msgspec.json.encode(described)
    data[8:4096] = (crc32c(document).to_bytes(4, "little") + len(document).to_bytes(4, "little") + document).ljust(
        4088, b"\0"
    )
    path.write_bytes(data)


def test_one_from_which_the_replay_differs_leads_to_a_full_replay(compiled: EngineSettings) -> None:
    ended = filled_and_taken(compiled)
    rewritten(newest(compiled), events_hash=12345)
    found = with_partition(compiled, recovery)
    assert found.from_snapshot == 0 and "differs" in found.skipped[-1]
    assert with_partition(compiled, stand) == ended


@pytest.mark.parametrize("change", [{"rules_version": 7}, {"format": 2}, {"state_hash": 1}, {"live_orders": 1}])
def test_one_that_says_otherwise_is_not_taken(compiled: EngineSettings, change: dict[str, int]) -> None:
    ended = filled_and_taken(compiled, 1)
    rewritten(newest(compiled), **change)
    assert with_partition(compiled, recovery).from_snapshot == 0
    assert with_partition(compiled, stand) == ended


def test_an_older_copy_of_the_journal_is_refused_whatever_snapshots_there_are(compiled: EngineSettings) -> None:
    ended = filled_and_taken(compiled, 1)
    data, older, newer = (Path(compiled.data_dir), *(Path(f"{compiled.data_dir}-{age}") for age in ("older", "newer")))
    shutil.copytree(data / "journal", older)
    later = filled_and_taken(compiled, 1)
    (data / "journal").rename(newer)
    older.rename(data / "journal")
    # The next segment, prepared or not, holds no records: a start may take it away.
    kept = [*(data / "journal").glob("*.journal"), *(data / "snapshots").iterdir()]
    before = {path: path.read_bytes() for path in kept}
    with pytest.raises(StartRefused, match=f"ends at command {ended[0]}, .* knows command {later[0]}") as refused:
        with_partition(compiled, stand)
    assert refused.value.exit_code == EXIT_DAMAGED
    assert {path: path.read_bytes() for path in kept} == before
    shutil.rmtree(data / "journal")
    newer.rename(data / "journal")
    found = with_partition(compiled, recovery)
    assert found.from_snapshot == describe(newest(compiled)).point.sequence and found.skipped == ()
    assert with_partition(compiled, stand) == later


def test_the_plain_engine_replays_in_full_and_says_so(compiled: EngineSettings) -> None:
    ended = filled_and_taken(compiled, 1)
    plain = replace(compiled, implementation="python")
    found = with_partition(plain, recovery)
    assert found.from_snapshot == 0 and "plain-Python" in found.skipped[0]
    assert with_partition(plain, stand) == ended == with_partition(compiled, stand)


def test_two_are_kept(compiled: EngineSettings) -> None:
    filled_and_taken(compiled, 4)
    paths = snapshot_paths(Path(compiled.data_dir))
    assert len(paths) == 2 and all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted([*(p.name for p in paths), "lock"])


def test_none_is_taken_where_the_event_log_differs(compiled: EngineSettings) -> None:
    ended = with_partition(compiled, fill)
    path = Path(compiled.data_dir) / "events" / "00000000.events"
    with path.open("r+b") as file:
        file.seek(50 * 128 + 9)
        flipped = file.read(1)[0] ^ 1
        file.seek(50 * 128 + 9)
        file.write(bytes([flipped]))
    with pytest.raises(snapshot.NotTaken, match="the event log has 1 events"):
        snapshot.take(compiled, ended[0])
    assert snapshot_paths(Path(compiled.data_dir)) == []


def test_none_is_taken_of_what_is_not_on_disk_yet(compiled: EngineSettings) -> None:
    sequence, _ = with_partition(compiled, fill)
    with pytest.raises((snapshot.NotTaken, OSError)):
        snapshot.take(compiled, sequence + 1000)
    assert snapshot_paths(Path(compiled.data_dir)) == []


def test_one_that_is_read_back_says_what_it_comes_to(compiled: EngineSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    sequence, state_hash = filled_and_taken(compiled)
    assert snapshot.take(compiled, sequence, read_back=True)["state_hash"] == state_hash
    assert snapshot.take(compiled, sequence, read_back=True)["replayed"] == 0, "the one that is there is read"
    sequence, _ = with_partition(compiled, lambda partition: fill(partition, "more-", 14))
    whole = snapshot_file.write_snapshot

    def spoilt(*words: Any, **more: Any) -> Any:
        described = whole(*words, **more)
        data = bytearray(newest(compiled).read_bytes())
        data[-1] ^= 1
        newest(compiled).write_bytes(data)
        return described

    monkeypatch.setattr(snapshot, "write_snapshot", spoilt)
    with pytest.raises(snapshot.NotTaken, match="read back"):
        snapshot.take(compiled, sequence, read_back=True)


@pytest.mark.parametrize("wrong", [0, 1])
def test_one_that_is_asked_for_is_compared_with_the_running_book(
    compiled: EngineSettings, tmp_path: Path, wrong: int
) -> None:
    config = tmp_path / "engine.json"
    config.write_bytes(msgspec.json.encode(compiled))

    async def ask(partition: Partition) -> tuple[int, int, str]:
        sequence, state_hash = await fill(partition)
        snapshots, counts = Snapshots(partition, compiled, config), partition.snapshots
        counts.running = True
        snapshots._start(sequence, state_hash ^ wrong)  # what `want` does once all before it is durable
        while counts.running:
            await asyncio.sleep(0.01)
        await snapshots.close()
        return sequence, counts.verified, counts.error

    sequence, verified, error = with_partition(compiled, ask)
    assert (verified, bool(error)) == ((0, True) if wrong else (sequence, False))
    assert not wrong or "what runs is not what its journal says" in error
