"""A measurement as lines of text: how often a second a step takes how long, each row twice as long as the one above."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hftctl.tuning.probe.report import CpuReport

BAR = "█"
HALF = "▌"
UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns"))


def nanoseconds(value_ns: float | None) -> str:
    """With its unit, three digits: `19 ns`, `4.25 us`, `13.9 ms`."""
    if value_ns is None:
        return "-"
    for size, unit in UNITS:
        if value_ns >= size or size == 1:
            number = value_ns / size
            return f"{number:.{0 if number >= 100 or size == 1 else 1 if number >= 10 else 2}f} {unit}"
    raise AssertionError("unreachable")


def per_second(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}" if rate else "-"


def octaves(cpu: CpuReport) -> dict[int, float]:
    """Exponent e -> steps a second that took 2^e to 2^(e+1) ns."""
    found: dict[int, float] = {}
    for lowest, _, count in cpu.steps.filled():
        exponent = max(lowest, 1).bit_length() - 1
        found[exponent] = found.get(exponent, 0.0) + count / cpu.elapsed_s
    return found


def lines(series: Sequence[tuple[str, CpuReport]], *, width: int) -> list[str]:
    """One bar per row and series; bars are logarithmic, so that one event in the whole time still has one."""
    tables = [(name, octaves(cpu)) for name, cpu in series]
    rows = sorted({exponent for _, table in tables for exponent in table})
    if not rows:
        return []
    least = min(1 / cpu.elapsed_s for _, cpu in series)
    most = max(rate for _, table in tables for rate in table.values())
    named = max(len(name) for name, _ in tables)
    room = max(width - (32 + (named + 2 if len(series) > 1 else 0)), 10)
    out = [f"{'a step takes':>18}  steps a second"]
    for exponent in range(rows[0], rows[-1] + 1):
        label = f"{nanoseconds(1 << exponent):>7} - {nanoseconds(2 << exponent):>7}"
        for index, (name, table) in enumerate(tables):
            rate = table.get(exponent, 0.0)
            head = label if index == 0 else " " * len(label)
            who = f"  {name:<{named}}" if len(series) > 1 else ""
            out.append(f"{head}{who}  {per_second(rate):>11}  {_bar(rate, least, most, room)}".rstrip())
    return out


def _bar(rate: float, least: float, most: float, room: int) -> str:
    if rate <= 0:
        return ""
    share = math.log(rate / least * 2) / max(math.log(most / least * 2), 1e-9)
    halves = max(round(2 * room * min(share, 1.0)), 1)
    return BAR * (halves // 2) + HALF * (halves % 2)
