"""The machine a figure was taken on, printed with every figure."""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path


def machine() -> dict[str, object]:
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return {
        "cpu": model, "cores": os.cpu_count(), "memory_gib": round(int(memory) / 2**20, 1),
        "kernel": platform.release(), "python": platform.python_version(),
    }  # fmt: skip


def sync_us(folder: Path, rounds: int = 200) -> dict[str, float]:
    """What one fdatasync of 4 KiB into written blocks costs on the disk under `folder`, microseconds."""
    path = folder / ".sync-probe"
    block = bytes(4096)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.pwrite(descriptor, bytes(1 << 20), 0)
        os.fsync(descriptor)
        took = []
        for number in range(rounds):
            os.pwrite(descriptor, block, number % 256 * 4096)
            began = time.perf_counter_ns()
            os.fdatasync(descriptor)
            took.append((time.perf_counter_ns() - began) / 1000)
    finally:
        os.close(descriptor)
        path.unlink()
    took.sort()
    return {"sync_us_p50": round(statistics.median(took), 1), "sync_us_p99": round(took[int(rounds * 0.99) - 1], 1)}


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
