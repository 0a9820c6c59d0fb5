"""Snapshots and processes that are killed: whoever takes one, whoever starts from one, and the engine that asked for it."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace

import engine
from stack.matcher import recovery as recovery_module
from stack.matcher import snapshot, snapshot_file
from stack.matcher.snapshot_file import describe
from stack.matcher.snapshots import Snapshots
from stack.settings import EngineSettings
from tests.stack.matcher.engines import Process, new, opened, with_partition
from tests.stack.matcher.filled import compiled_settings, fill, filled_and_taken, newest, recovery, stand

pytestmark = pytest.mark.skipif(bool(engine.implementations()["cython"]), reason="the compiled engine is not built")


@pytest.fixture
def compiled(settings: EngineSettings) -> Iterator[EngineSettings]:
    with compiled_settings(settings) as compiled:
        yield compiled


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
            recovery_module.apply_stretch = counting(recovery_module.apply_stretch)
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
        sequence, newest_one = again["sequence"], status["snapshots"]["newest"]
        assert snapshot.take(process.settings, sequence)["replayed"] == sequence - newest_one  # not from the beginning
    finally:
        if process.process is not None:
            process.end(signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux ends a process with its parent")
def test_one_that_is_being_taken_ends_with_its_engine_and_the_next_start_is_fine(
    compiled: EngineSettings, tmp_path: Path
) -> None:
    process = Process(replace(compiled, snapshot_commands=20), tmp_path)

    async def use() -> tuple[int, int]:
        """Orders until one is being taken; it waits for its settings then, and we are who would write them."""
        async with process.link() as link:
            await link.wait_connected()
            process.config.unlink()
            os.mkfifo(process.config)
            for number in range(30):
                await link.submit(new(f"n{number}", price=100 + number))
            while True:
                try:
                    writer = os.open(process.config, os.O_WRONLY | os.O_NONBLOCK)
                except OSError:  # nobody reads yet
                    await asyncio.sleep(0.02)
                else:
                    return writer, (await link.query("status")).document["sequence"]

    try:
        engine_pid = process.start().pid
        writer, sequence = asyncio.run(asyncio.wait_for(use(), 20))
        (taker,) = psutil.Process(engine_pid).children()
        ended = os.pidfd_open(taker.pid)
        assert "stack.matcher.snapshot" in taker.cmdline() and select.select([ended], [], [], 0)[0] == []
        process.end(signal.SIGKILL)
        assert select.select([ended], [], [], 10)[0] == [ended], "it outlives its engine"
        os.close(writer)
        os.close(ended)
        process.config.unlink()
        process.start()
        again = asyncio.run(until(lambda status: status["snapshots"]["taken"] == 1, process))
        assert (again["sequence"], again["recovery"]["from_snapshot"]) == (sequence, 0)
        assert again["snapshots"]["newest"] == sequence
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
