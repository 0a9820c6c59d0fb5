"""Who spent the processors during a run: our processes by name, the kernel's threads, and everybody else.

From /proc/PID/task/*/schedstat, in nanoseconds on a processor. Threads and processes that ended within the run are missing
there, so everybody else is what /proc/stat counts as busy, minus ours, minus the kernel's threads: missing ones count as
foreign, never as ours.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from operator import itemgetter
from pathlib import Path

import psutil

PROC = Path("/proc")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
KTHREADD = 2
NAMED = 3  # how many of the others are named


@dataclass
class Spent:
    elapsed_s: float
    seconds: dict[str, float]  # ours, by group
    kernel_cores: float  # kernel threads: writing back, the file system's own journal
    foreign_cores: float
    foreign_names: dict[str, float] = field(default_factory=dict)  # the largest of them, in cores


class Watch:
    """Begin with `Watch(groups)`, end with `spent()`. `groups`: name -> pids; their descendants belong to it."""

    def __init__(self, groups: Mapping[str, list[int]]) -> None:
        self._groups = groups
        self._owner = owners(groups)
        self._before = _all_ns()
        self._busy_s = _busy_s()
        self._began = time.monotonic()

    def spent(self, ended_s: Mapping[str, float] | None = None) -> Spent:
        """`ended_s`: processor seconds of our own that have ended meanwhile, such as a generator's."""
        elapsed_s = time.monotonic() - self._began
        busy_s = _busy_s() - self._busy_s
        owner = {**owners(self._groups), **self._owner, os.getpid(): "benchmark"}
        ours = dict.fromkeys((*self._groups, "benchmark"), 0.0)
        others: dict[str, float] = {}
        kernel_s = 0.0
        for pid, ns in _all_ns().items():
            took_s = (ns - self._before.get(pid, 0)) / 1e9
            if pid in owner:
                ours[owner[pid]] += took_s
            elif took_s > 0:
                name, kernel = _facts(pid)
                if kernel:
                    kernel_s += took_s
                else:
                    others[name] = others.get(name, 0.0) + took_s
        seconds = {**ours, **(ended_s or {})}
        # The kernel's ticks can miss what runs shortly; what is seen of the others is the least there was.
        foreign_s = max(busy_s - sum(seconds.values()) - kernel_s, sum(others.values()))
        return Spent(
            round(elapsed_s, 3),
            seconds,
            round(kernel_s / elapsed_s, 3),
            round(foreign_s / elapsed_s, 3),
            {
                name: round(s / elapsed_s, 3)
                for name, s in nlargest(NAMED, others.items(), key=itemgetter(1))
                if s > elapsed_s / 100
            },
        )


def owners(groups: Mapping[str, list[int]]) -> dict[int, str]:
    found: dict[int, str] = {}
    for name, pids in groups.items():
        for pid in pids:
            found[pid] = name
            try:
                found |= {child.pid: name for child in psutil.Process(pid).children(recursive=True)}
            except psutil.NoSuchProcess:
                continue
    return found


def _all_ns() -> dict[int, int]:
    return {int(folder.name): _ns(folder) for folder in PROC.iterdir() if folder.name.isdigit()}


def _ns(folder: Path) -> int:
    total = 0
    try:
        for task in (folder / "task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    except (OSError, ValueError):  # it ended while we looked
        pass
    return total


def _facts(pid: int) -> tuple[str, bool]:
    """Its name, and whether it is a thread of the kernel."""
    try:
        name, _, rest = (PROC / str(pid) / "stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return "ended", False
    return name, int(rest.split()[1]) == KTHREADD


def _busy_s() -> float:
    """User, nice, system, irq and softirq of all processors; stolen time is nobody's here."""
    fields = [int(word) for word in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:7])) * TICK_S
