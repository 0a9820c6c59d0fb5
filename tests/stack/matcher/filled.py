"""Data folders with orders and snapshots in them, small enough to be made again and again."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.records import Side
from stack.matcher import snapshot
from stack.matcher.partition import Partition
from stack.matcher.snapshot_file import snapshot_paths
from stack.settings import EngineSettings
from tests.stack.matcher.engines import cancel, new, submit, with_partition

MEMORY = Path("/dev/shm")  # processes are killed there, never the power cut: no disk need be waited for


@contextmanager
def compiled_settings(settings: EngineSettings) -> Iterator[EngineSettings]:
    with tempfile.TemporaryDirectory(prefix="snapshots-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield replace(
            settings,
            data_dir=f"{folder}/data",
            implementation="cython",
            segment_bytes=4096 + 50 * 144,
            hft_mode=False,
        )


async def fill(partition: Partition, prefix: str = "a", count: int = 42) -> tuple[int, int]:
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
    subprocess.run(
        ["cp", "-R", settings.data_dir, str(folder)], check=True
    )  # which leaves out what a file does not have
    shutil.rmtree(folder / "snapshots", ignore_errors=True)
    return with_partition(replace(settings, data_dir=str(folder)), stand)


def newest(settings: EngineSettings) -> Path:
    return snapshot_paths(Path(settings.data_dir))[0]


def filled_and_taken(settings: EngineSettings, times: int = 2) -> tuple[int, int]:
    """A snapshot after each filling, and commands behind the last one."""
    for number in range(times):
        sequence, _ = with_partition(settings, lambda partition, n=number: fill(partition, f"r{n}-"))
        assert snapshot.take(settings, sequence)["sequence"] == sequence
    return with_partition(settings, lambda partition: fill(partition, "rest-", 14))
