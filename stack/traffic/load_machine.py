"""What stands beside a load report: the machine, and what syncing costs, alone on the disk and in the engine's journal."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

PROBE_SYNCS = 300
PROBE_S_MAX = 3.0
PROBE_BYTES = 4096
Buckets = dict[float, float]


def machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.machine()


def sync_probe(folder: Path) -> dict[str, Any]:
    """Sync a block of a zero-filled file again and again, as a journal does. Raises OSError."""
    sync = os.fdatasync if sys.platform == "linux" else os.fsync
    took_us = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".sync-probe-") as file:
        file.write(bytes(PROBE_BYTES * PROBE_SYNCS))
        file.flush()
        os.fsync(file.fileno())
        deadline = time.monotonic() + PROBE_S_MAX
        for number in range(PROBE_SYNCS):
            os.pwrite(file.fileno(), os.urandom(PROBE_BYTES), number * PROBE_BYTES)
            start_ns = time.perf_counter_ns()
            sync(file.fileno())
            took_us.append((time.perf_counter_ns() - start_ns) / 1000)
            if time.monotonic() > deadline:
                break
    took_us.sort()
    return {
        "where": str(folder),
        "syncs": len(took_us),
        "p50_us": round(took_us[len(took_us) // 2], 1),
        "p99_us": round(took_us[min(len(took_us) - 1, len(took_us) * 99 // 100)], 1),
        "max_us": round(took_us[-1], 1),
    }


def journal_syncs(metrics: str) -> tuple[Buckets, float]:
    """The engine's own histogram of journal syncs: cumulated counts by upper bound in seconds, and their sum."""
    buckets: Buckets = {}
    total = 0.0
    for family in text_string_to_metric_families(metrics):
        if family.name != "hft_sync_seconds":
            continue
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + sample.value
            elif sample.name.endswith("_sum"):
                total += sample.value
    return buckets, total


def journal_syncs_between(before: tuple[Buckets, float], after: tuple[Buckets, float]) -> dict[str, Any] | None:
    """How long the journal's syncs took in between; quantiles are the upper bounds of the histogram's buckets."""
    counts = {bound: count - before[0].get(bound, 0.0) for bound, count in sorted(after[0].items())}
    syncs = max(counts.values(), default=0.0)
    if not syncs:
        return None
    return {
        "syncs": int(syncs),
        "mean_us": round((after[1] - before[1]) / syncs * 1e6, 1),
        "p50_us_at_most": _bound(counts, syncs * 0.5),
        "p99_us_at_most": _bound(counts, syncs * 0.99),
    }


def _bound(counts: Buckets, wanted: float) -> float | None:
    for bound, count in counts.items():
        if count >= wanted:
            return None if bound == float("inf") else round(bound * 1e6, 1)
    return None
