"""Two measurements side by side: what a change of the host was good for, CPU by CPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from hftctl.errors import UsageError
from hftctl.tuning import cpu_list
from hftctl.tuning.probe.report import CpuReport, Report

CHANCE_DEVIATIONS = 2.0  # counts that differ by less than so many standard deviations may differ by chance

MEASURES: dict[str, Callable[[CpuReport], float | None]] = {
    "interrupts_per_s": lambda cpu: cpu.counted.interrupts_per_s,
    "gaps_per_s": lambda cpu: cpu.gaps_per_s,
    "lost_ppm": lambda cpu: cpu.lost_ppm,
    "p99_9_ns": lambda cpu: cpu.steps.percentile(99.9),
    "p99_99_ns": lambda cpu: cpu.steps.percentile(99.99),
    "p99_999_ns": lambda cpu: cpu.steps.percentile(99.999),
    "max_ns": lambda cpu: cpu.longest_ns,
}
COUNTED: dict[str, Callable[[CpuReport], int]] = {
    "interrupts_per_s": lambda cpu: sum(cpu.counted.interrupts.values()),
    "gaps_per_s": lambda cpu: cpu.gaps,
}


@dataclass(frozen=True)
class Change:
    """`factor`: how many times smaller it became; None where nothing is left, or nothing was there."""

    measure: str
    before: float | None
    after: float | None
    factor: float | None
    chance: bool | None  # it may differ by chance alone; None for what is no count


@dataclass(frozen=True)
class CpuChange:
    cpu: int
    changes: tuple[Change, ...]


def compare(before: Report, after: Report) -> tuple[CpuChange, ...]:
    """Of the CPUs that both measured. Raises UsageError when there is none."""
    earlier = {cpu.cpu: cpu for cpu in before.cpus}
    found = tuple(
        CpuChange(later.cpu, tuple(_change(name, earlier[later.cpu], later) for name in MEASURES))
        for later in after.cpus
        if later.cpu in earlier
    )
    if not found:
        raise UsageError(
            f"nothing to compare: before, CPU {cpu_list.shown(earlier)} was measured, after, CPU "
            f"{cpu_list.shown(cpu.cpu for cpu in after.cpus)}",
            hint=f"hftctl tune probe --cpus {cpu_list.shown(earlier)} --before FILE",
        )
    return found


def _change(name: str, earlier: CpuReport, later: CpuReport) -> Change:
    before, after = MEASURES[name](earlier), MEASURES[name](later)
    factor = before / after if before and after else None
    chance = None
    if name in COUNTED:
        variance = COUNTED[name](earlier) / earlier.elapsed_s**2 + COUNTED[name](later) / later.elapsed_s**2
        chance = abs((before or 0) - (after or 0)) <= CHANCE_DEVIATIONS * math.sqrt(variance)
    return Change(name, before, after, factor, chance)
