"""Seconds that a user waits, each with its bound: one table for the deploys of every target."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.harness.report import BELOW_TARGET

RUNS = 5


def options(what: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def finish(
    name: str,
    took: Mapping[str, list[float]],
    targets_s: Mapping[str, float],
    beside: Mapping[str, Any],
    *,
    as_json: bool,
    none_of: Mapping[str, int] | None = None,
) -> int:
    """Prints medians against their bounds; the exit code. What has no bound is a peer; of `none_of` there must be none."""
    medians = {wait: round(statistics.median(values), 3) for wait, values in took.items()}
    counts = dict(none_of or {})
    met = not any(counts.values()) and all(medians[wait] < target for wait, target in targets_s.items())
    if as_json:
        document = {
            "benchmark": name, "runs": max(map(len, took.values())), "median_s": medians, "target_s": dict(targets_s), **counts,
            "met": met, "all_s": {wait: [round(value, 3) for value in values] for wait, values in took.items()}, **beside,
        }  # fmt: skip
        print(json.dumps(document, indent=2))
    else:
        for wait, median in medians.items():
            target = targets_s.get(wait)
            verdict = "a peer" if target is None else f"target {target} s   {'met' if median < target else 'MISSED'}"
            print(f"{wait:15} {median:8.3f} s   {verdict}")
        for what, count in counts.items():
            print(f"{what:15} {count:8}     target 0   {'MISSED' if count else 'met'}")
        print(json.dumps(beside))
    return 0 if met else BELOW_TARGET
