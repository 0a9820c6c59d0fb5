"""Designs measured in turn, A B C A B C: what changes slowly on a machine then meets all of them alike.

A run with more than FOREIGN_CORES_MAX of somebody else's work is repeated, up to TRIES runs in all; what stays disturbed is kept
and said. Medians are over the kept runs. HFTCTL_BENCH_LOCK names a file that is locked during each run, for machines on which
several people measure.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

FOREIGN_CORES_MAX = 0.15
TRIES = 3
LOCK_VARIABLE = "HFTCTL_BENCH_LOCK"
Run = dict[str, Any]  # per_s, foreign_cores, ... ; numbers and mappings of numbers get a median


@contextmanager
def alone() -> Iterator[None]:
    name = os.environ.get(LOCK_VARIABLE)
    if not name:
        yield
        return
    with Path(name).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def interleaved(designs: Mapping[str, Callable[[], Run]], rounds: int, tries: int = TRIES) -> dict[str, list[Run]]:
    kept: dict[str, list[Run]] = {name: [] for name in designs}
    for number in range(1, rounds + 1):
        for name, run in designs.items():
            kept[name].append(_undisturbed(run, f"round {number} of {rounds}: {name}", tries))
    return kept


def _undisturbed(run: Callable[[], Run], title: str, tries: int) -> Run:
    tried: list[Run] = []
    for _ in range(tries):
        with alone():
            tried.append(run())
        found = tried[-1]
        who = "".join(f", {name} {cores}" for name, cores in found.get("foreign_names", {}).items())
        rate, foreign = found["per_s"], found["foreign_cores"]
        print(f"{title}: {rate:,.0f}/s, {foreign} cores foreign{who}", file=sys.stderr, flush=True)
        if found["foreign_cores"] <= FOREIGN_CORES_MAX:
            break
    best = min(tried, key=lambda run: run["foreign_cores"])
    return {**best, "tries": len(tried), "disturbed": best["foreign_cores"] > FOREIGN_CORES_MAX}


def medians(runs: list[Run]) -> Run:
    """Of each number, also inside mappings; the lowest and highest rate besides."""
    found = _medians(runs)
    rates = [run["per_s"] for run in runs]
    return {
        **found,
        "per_s_min": round(min(rates), 1),
        "per_s_max": round(max(rates), 1),
        "runs": len(runs),
        "repeated": sum(run["tries"] - 1 for run in runs),
        "disturbed": sum(run["disturbed"] for run in runs),
    }


def _medians(runs: list[Run]) -> Run:
    found: Run = {}
    for name, first in runs[0].items():
        values = [run[name] for run in runs if name in run]
        if isinstance(first, Mapping):
            found[name] = _medians(values)
        elif isinstance(first, int | float) and not isinstance(first, bool):
            found[name] = round(median(values), 3)
    return found
