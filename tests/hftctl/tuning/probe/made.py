"""Reports as a measurement makes them, of numbers that a test chooses."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from hftctl.tuning.probe.counters import Difference
from hftctl.tuning.probe.histogram import PLACES, place_of
from hftctl.tuning.probe.report import CpuReport, Report, cpu_report


def cpu(
    number: int,
    steps: Mapping[int, int],
    *,
    seconds: float = 10.0,
    threshold_ns: int = 200,
    interrupts: Mapping[str, int] | None = None,
    involuntary: int = 0,
    steal_ms: float = 0.0,
) -> CpuReport:
    counts = array("Q", [0] * PLACES)
    for value, count in steps.items():
        counts[place_of(value)] += count
    gaps = {value: count for value, count in steps.items() if value >= threshold_ns}
    spun = {
        "steps": counts.tobytes(),
        "elapsed_ns": int(seconds * 1e9),
        "threshold_ns": threshold_ns,
        "gaps": sum(gaps.values()),
        "gaps_ns": sum(value * count for value, count in gaps.items()),
        "longest_ns": max(gaps, default=0),
        "worst": [(1_000_000 * at, value) for at, value in enumerate(sorted(gaps), 1)],
        "voluntary": 0,
        "involuntary": involuntary,
        "faults": 0,
    }
    moved = dict(interrupts or {})
    return cpu_report(number, spun, Difference(sum(moved.values()) / seconds, moved, {}, steal_ms, None, None))


def report(*cpus: CpuReport) -> Report:
    return Report(
        "2026-01-01T00:00:00Z", "6.1.0", "a processor", "2-3", "2-3", "rdtscp", "its rate is constant", 2.5, 0.4, 10.0,
        False, True, False, cpus,
    )  # fmt: skip


UNTUNED = report(
    cpu(3, {20: 400_000_000, 4_000: 2_500, 90_000: 30}, interrupts={"LOC": 2_500, "RES": 30}, involuntary=30)
)
TUNED = report(cpu(3, {20: 500_000_000, 4_000: 10}, interrupts={"LOC": 10}))
