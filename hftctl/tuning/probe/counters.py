"""What the kernel counts per CPU: interrupts, softirqs, stolen time, and what firmware and heat took. Read before and after.

None of it is read while the loop runs: a read would be an interruption.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STEAL_FIELD = 8  # of a cpuN line of /proc/stat, the name counted
SMI_COUNT_REGISTER = 0x34


@dataclass(frozen=True)
class Snapshot:
    at_s: float  # monotonic
    interrupts: Mapping[str, Mapping[int, int]]  # source -> CPU -> count
    softirqs: Mapping[str, Mapping[int, int]]
    steal_s: Mapping[int, float]
    smi: Mapping[int, int]  # system management interrupts; empty where we may not read them
    throttled: Mapping[int, int]  # times that heat slowed the core down; empty where nothing counts them


@dataclass(frozen=True)
class Difference:
    """Of one CPU between two snapshots; sources that did not move are left out."""

    interrupts_per_s: float
    interrupts: Mapping[str, int]
    softirqs: Mapping[str, int]
    steal_ms: float
    smi: int | None
    throttled: int | None


def read(cpus: Sequence[int], root: Path = Path("/")) -> Snapshot:
    return Snapshot(
        time.monotonic(),
        table(_text(root / "proc/interrupts")),
        table(_text(root / "proc/softirqs")),
        steal(_text(root / "proc/stat"), os.sysconf("SC_CLK_TCK")),
        {cpu: count for cpu in cpus if (count := _smi(root, cpu)) is not None},
        {cpu: count for cpu in cpus if (count := _throttled(root, cpu)) is not None},
    )


def between(before: Snapshot, after: Snapshot, cpu: int) -> Difference:
    interrupts = _moved(before.interrupts, after.interrupts, cpu)
    elapsed_s = max(after.at_s - before.at_s, 1e-9)
    return Difference(
        interrupts_per_s=sum(interrupts.values()) / elapsed_s,
        interrupts=interrupts,
        softirqs=_moved(before.softirqs, after.softirqs, cpu),
        steal_ms=1000 * (after.steal_s.get(cpu, 0.0) - before.steal_s.get(cpu, 0.0)),
        smi=after.smi[cpu] - before.smi[cpu] if cpu in before.smi and cpu in after.smi else None,
        throttled=after.throttled[cpu] - before.throttled[cpu]
        if cpu in before.throttled and cpu in after.throttled
        else None,
    )


def table(text: str) -> dict[str, dict[int, int]]:
    """Of /proc/interrupts or /proc/softirqs. A row that has not one number per CPU (ERR, MIS) belongs to none of them.

    A device's row is named by its number and what drives it, because numbers change with every boot."""
    lines = text.splitlines()
    cpus = [int(word[3:]) for word in lines[0].split() if word.startswith("CPU")] if lines else []
    found: dict[str, dict[int, int]] = {}
    for line in lines[1:]:
        name, _, rest = line.strip().partition(":")
        words = rest.split()
        counts = words[: len(cpus)]
        if len(counts) == len(cpus) and all(word.isdecimal() for word in counts):
            source = f"{name} {words[-1]}" if name.isdecimal() and len(words) > len(cpus) else name
            found[source] = dict(zip(cpus, map(int, counts), strict=True))
    return found


def steal(text: str, ticks_per_s: int) -> dict[int, float]:
    """Seconds that a hypervisor gave to others, per CPU."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if words and words[0].startswith("cpu") and words[0] != "cpu" and len(words) > STEAL_FIELD:
            found[int(words[0][3:])] = int(words[STEAL_FIELD]) / ticks_per_s
    return found


def _moved(before: Mapping[str, Mapping[int, int]], after: Mapping[str, Mapping[int, int]], cpu: int) -> dict[str, int]:
    moved = {name: row.get(cpu, 0) - before.get(name, {}).get(cpu, 0) for name, row in after.items()}
    return dict(sorted(((name, count) for name, count in moved.items() if count), key=lambda one: -one[1]))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""  # a container may hide it; the report has no such counts then


def _smi(root: Path, cpu: int) -> int | None:
    """Only Intel counts them, and only root may look."""
    try:
        with (root / f"dev/cpu/{cpu}/msr").open("rb", buffering=0) as file:
            return int.from_bytes(os.pread(file.fileno(), 8, SMI_COUNT_REGISTER), "little")
    except OSError:
        return None


def _throttled(root: Path, cpu: int) -> int | None:
    folder = root / f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle"
    counts = [_text(folder / f"{part}_throttle_count").strip() for part in ("core", "package")]
    return sum(map(int, filter(str.isdecimal, counts))) if any(counts) else None
