"""Snapshots: a start from one comes to what a full replay comes to, whatever happened to the files or to who wrote them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import engine
from engine.journal import crc32c
from engine.records import EventKind, Side
from stack.matcher import recovery as recovery_module
from stack.matcher import snapshot, snapshot_file
from stack.matcher.partition import Partition
from stack.matcher.snapshot_file import Unusable, describe, snapshot_paths
from stack.matcher.snapshots import Snapshots
from stack.settings import EngineSettings
from stack.wire.frames import Outcome
from tests.stack.matcher.engines import Process, cancel, new, opened, submit, with_partition

pytestmark = pytest.mark.skipif(bool(engine.implementations()["cython"]), reason="the compiled engine is not built")


@pytest.fixture
def compiled(settings: EngineSettings) -> EngineSettings:
    return replace(settings, implementation="cython", segment_bytes=4096 + 50 * 144, hft_mode=False)


async def fill(partition: Partition, prefix: str = "a", count: int = 120) -> tuple[int, int]:
    """Some rest, some match, some are cancelled; returns where that leads."""
    for start in range(0, count, 7):
        names = range(start, min(start + 7, count))
        await asyncio.gather(*(submit(partition, new(f"{prefix}{n}", price=100 + n % 30)) for n in names))
        await submit(partition, new(f"{prefix}s{start}", Side.SELL, price=101, quantity=3))
        await submit(partition, cancel(partition.engine.live_orders(limit=5)[-1]))
    return partition.engine.sequence, partition.engine.state_hash()


async def stand(partition: Partition) -> tuple[int, int]:
    partition.engine.check_invariants()
    return partition.engine.sequence, partition.engine.state_hash()


async def recovery(partition: Partition) -> Any:
    return partition.recovery


def in_full(settings: EngineSettings, folder: Path) -> Any:
    """What a copy without snapshots comes to."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(settings.data_dir, folder)
    shutil.rmtree(folder / "snapshots", ignore_errors=True)
    return with_partition(replace(settings, data_dir=str(folder)), stand)


def newest(settings: EngineSettings) -> Path:
    return snapshot_paths(Path(settings.data_dir))[0]


def filled_and_taken(settings: EngineSettings, times: int = 2) -> tuple[int, int]:
    """A snapshot after each filling, and commands behind the last one."""
    for number in range(times):
        sequence, _ = with_partition(settings, lambda partition, n=number: fill(partition, f"r{n}-"))
        assert snapshot.take(settings, sequence)["sequence"] == sequence
    return with_partition(settings, lambda partition: fill(partition, "rest-", 30))


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


def test_the_event_log_above_a_snapshot_is_rebuilt(compiled: EngineSettings) -> None:
    ended = filled_and_taken(compiled)
    point = describe(newest(compiled)).point

    async def everything(partition: Partition) -> tuple[bytes, list[bytes]]:
        return partition.log.peek(0, partition.log.end), [partition.log.chain(order) for order in range(ended[0])]

    before = with_partition(compiled, everything)
    path = Path(compiled.data_dir) / "events" / "00000000.events"
    data = bytearray(path.read_bytes())
    data[point.events * 128 :] = bytes(len(data) - point.events * 128)
    path.write_bytes(data)
    index = Path(compiled.data_dir) / "events" / "00000000.index"
    entries = bytearray(index.read_bytes())
    entries[(point.sequence + 1) * 8 :] = bytes(len(entries) - (point.sequence + 1) * 8)
    index.write_bytes(entries)
    assert with_partition(compiled, everything) == before


def damage_everywhere(path: Path) -> list[Callable[[], None]]:
    whole = path.read_bytes()

    def flipped(at: int) -> Callable[[], None]:
        return lambda: path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])

    document = int.from_bytes(whole[12:16], "little")
    places = [0, 9, 13, 20, 16 + document - 1, *range(4096, len(whole), 251)]
    cuts = [0, 100, 4096, 5000, len(whole) - 1]
    return [*map(flipped, places), *(lambda n=n: path.write_bytes(whole[:n]) for n in cuts)]


def test_a_damaged_one_is_named_and_the_older_one_taken(compiled: EngineSettings) -> None:
    ended = filled_and_taken(compiled)
    path = newest(compiled)
    older = snapshot_paths(Path(compiled.data_dir))[1]
    for break_it in damage_everywhere(path)[::9]:
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
    ended = with_partition(other, lambda partition: fill(partition, "other", 400))
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
    data = bytearray(path.read_bytes())
    data[50 * 128 + 9] ^= 1
    path.write_bytes(data)
    with pytest.raises(snapshot.NotTaken, match="the event log has 1 events"):
        snapshot.take(compiled, ended[0])
    assert snapshot_paths(Path(compiled.data_dir)) == []


def test_none_is_taken_of_what_is_not_on_disk_yet(compiled: EngineSettings) -> None:
    sequence, _ = with_partition(compiled, fill)
    with pytest.raises((snapshot.NotTaken, OSError)):
        snapshot.take(compiled, sequence + 1000)
    assert snapshot_paths(Path(compiled.data_dir)) == []


FILE_CALLS = ("open", "writev", "pwrite", "fsync", "fdatasync", "rename", "unlink")


def killed_at(step: int, act: Callable[[], Any]) -> bool:
    """Whether `act` came to its end in a process of its own, which kills itself before its `step`th call for a file."""
    child = os.fork()
    if child == 0:
        try:
            left = step

            def counting(real: Callable[..., Any]) -> Callable[..., Any]:
                def call(*arguments: Any, **named: Any) -> Any:
                    nonlocal left
                    left -= 1
                    if left < 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return real(*arguments, **named)

                return call

            for name in FILE_CALLS:
                setattr(os, name, counting(getattr(os, name)))
            snapshot_file.fdatasync = os.fdatasync
            snapshot_file._pieces = counting(snapshot_file._pieces)
            recovery_module.apply_segment = counting(recovery_module.apply_segment)
            act()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL)
    return code == 0


def test_a_kill_at_any_step_of_taking_one_leaves_what_the_next_start_needs(
    compiled: EngineSettings, tmp_path: Path
) -> None:
    first, _ = with_partition(compiled, fill)
    snapshot.take(compiled, first)
    ended = with_partition(compiled, lambda partition: fill(partition, "b"))
    folder, saved = Path(compiled.data_dir) / "snapshots", tmp_path / "saved"
    shutil.copytree(folder, saved)
    step, finished, seen = 0, False, []
    while not finished:
        shutil.rmtree(folder)
        shutil.copytree(saved, folder)
        finished = killed_at(step, lambda: snapshot.take(compiled, ended[0]))
        found = with_partition(compiled, recovery)
        assert found.skipped == () and found.replayed == ended[0] - found.from_snapshot
        seen.append(found.from_snapshot)
        assert not list(folder.glob("*.preparing"))
        step += 1
    assert seen == sorted(seen) and set(seen) == {first, ended[0]} and step > 12
    assert with_partition(compiled, stand) == ended
    assert snapshot.take(compiled, ended[0])["sequence"] == ended[0]


def test_a_kill_at_any_step_of_a_start_from_one_leaves_what_the_next_start_needs(compiled: EngineSettings) -> None:
    ended = filled_and_taken(compiled)
    step, finished = 0, False
    while not finished:
        finished = killed_at(step, lambda: with_partition(compiled, stand))
        step += 1
    assert step > 8
    assert with_partition(compiled, recovery).from_snapshot == describe(newest(compiled)).point.sequence
    assert with_partition(compiled, stand) == ended


def test_one_that_outlives_its_engine_ends() -> None:
    with pytest.raises(snapshot.NotTaken, match="is gone"):
        snapshot._end_with(1 if os.getppid() != 1 else 2)


async def until(condition: Callable[[dict[str, Any]], bool], process: Process) -> dict[str, Any]:
    async with asyncio.timeout(20), process.link() as link:
        await link.wait_connected()
        while True:
            status = (await link.query("status")).document
            if condition(status):
                return status
            await asyncio.sleep(0.05)


def test_a_running_engine_has_them_taken_and_a_killed_one_starts_from_them(
    compiled: EngineSettings, tmp_path: Path
) -> None:
    process = Process(replace(compiled, snapshot_commands=100), tmp_path)

    async def use() -> dict[str, Any]:
        async with process.link() as link:
            await link.wait_connected()
            await asyncio.gather(*(link.submit(new(f"n{number}", price=100 + number)) for number in range(150)))
        return await until(
            lambda status: status["snapshots"]["taken"] >= 1 and not status["snapshots"]["running"], process
        )

    try:
        process.start()
        status = asyncio.run(use())
        assert status["recovery"]["from_snapshot"] == 0
        assert status["snapshots"]["newest"] >= 100 and status["snapshots"]["error"] == ""
        process.end(signal.SIGKILL)
        process.start()
        again = asyncio.run(until(lambda _: True, process))
        assert again["recovery"]["from_snapshot"] == status["snapshots"]["newest"]
        assert again["recovery"]["replayed"] == again["sequence"] - status["snapshots"]["newest"]
    finally:
        if process.process is not None:
            process.end(signal.SIGKILL)


def test_a_clean_stop_takes_one_when_much_would_be_replayed(compiled: EngineSettings, tmp_path: Path) -> None:
    async def run(commands: int) -> tuple[int, int]:
        partition = await opened(compiled)
        ended = await fill(partition, f"x{partition.engine.sequence}-", 50)
        await partition.close()
        partition.log.close()
        Snapshots(partition, replace(compiled, snapshot_commands=commands), tmp_path / "unused").take_at_stop()
        return ended

    asyncio.run(run(1000))
    assert with_partition(compiled, recovery).from_snapshot == 0
    ended = asyncio.run(run(100))
    found = with_partition(compiled, recovery)
    assert (found.from_snapshot, found.replayed, found.skipped) == (ended[0], 0, ())
    assert with_partition(compiled, stand) == ended
