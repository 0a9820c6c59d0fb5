"""The layout `gateway` with 1, 4 and 8 gateways: what more of them than cores cost. Part of `benchmarks.order_entry`.

The profile says `gateways: N` for the FastAPI processes that take orders behind nginx; `system.max_workers`, nginx's own
workers, stays 1. All the deployments stand side by side and are measured in turn; those that are not are idle, and what they
spend then is `standing_cores`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks.harness import report
from benchmarks.harness.deployment import Deployment, deployed
from benchmarks.harness.rounds import Run, interleaved, medians

TARGET, TARGET_SHORT = 0.90, 0.60


def measure(options: argparse.Namespace, run_ours: Callable[..., Run], conditions: dict[str, Any]) -> dict[str, Any]:
    counts = [int(word) for word in options.workers.split(",")]
    with ExitStack() as stack:
        standing: dict[int, Deployment] = {}
        for count in counts:
            settings = f"order_entry: gateway\ngateways: {count}\n"
            standing[count] = stack.enter_context(deployed(settings, authentication=options.authentication))
        beside = report.beside(standing[counts[0]].journal)

        def of(count: int) -> Callable[[], Run]:
            others = {f"{n} {name}": pids for n, d in standing.items() if n != count for name, pids in d.groups.items()}
            return lambda: run_ours(standing[count], options.seconds, others)

        runs = interleaved({f"gateways: {count}": of(count) for count in counts}, options.rounds, options.tries)
    found = {name: medians(kept) for name, kept in runs.items()}
    best = max(found, key=lambda name: found[name]["per_s"])
    share = {name: round(run["per_s"] / found[best]["per_s"], 3) for name, run in found.items()}
    target = TARGET_SHORT if options.short else TARGET
    ratio = share[f"gateways: {counts[-1]}"]
    return {
        "benchmark": "order_entry_workers",
        "ratio": ratio,
        "target": target,
        "met": ratio >= target,
        "of_the_best": share,
        "conditions": conditions,
        "designs": found,
        **beside,
        "runs": runs,
    }
