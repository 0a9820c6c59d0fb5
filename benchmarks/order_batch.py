"""Batches of a hundred orders through nginx, durable before they are answered; against the seed design's batches.

    python -m benchmarks.order_batch [--json] [--short] [--seconds 60] [--persister stopped|running]

Two figures: orders per second over a minute, and how many times those of the seed design's best layout that is (`ratio`). The
peer takes batches too: one INSERT per order, all in one transaction with one commit, one pipeline to the cache. The same bytes
go to both. Every order has an id of its own, books stay small however long it lasts, and each order of the minute stands in
the journal, none refused: an answer of 200 to a batch does not say that.

The minute runs with the persister stopped (SIGSTOP: its rows come later), as the target is about orders that are durable in the
journal; `benchmarks.persist` is about rows. With `--persister running` it shares the processors, and its lag is in the report.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.harness import report, wrk
from benchmarks.harness.deployment import Counted, Deployment, deployed
from benchmarks.harness.measured import Answered, Groups, Unmeasured, measured
from benchmarks.harness.rounds import TRIES, Run, interleaved, medians
from benchmarks.order_entry import nginx
from benchmarks.seed_design.servers import Seed, seeded

BATCH, CLIENTS = 100, 8
TARGET_PER_S, TARGET_PER_S_SHORT = 200_000, 20_000
WARM_UP_S = 1
FREE_BYTES_MIN = 30 << 30


def generate(port: int, seconds: int) -> Answered:
    words = {"BENCH_RUN": f"b{secrets.token_hex(5)}", "BENCH_BATCH": str(BATCH)}
    return wrk.run(wrk.BATCHES, port, seconds=seconds, clients=CLIENTS, words=words, batch=BATCH)


def run_ours(ours: Deployment, seconds: int, standing: Groups, *, persister: str, catch_up: bool = True) -> Run:
    free = shutil.disk_usage(ours.folder).free
    if seconds > 10 and free < FREE_BYTES_MIN:
        raise Unmeasured(
            f"{free >> 30} GiB are free below {ours.folder}, and {seconds} s of batches may want {FREE_BYTES_MIN >> 30}"
        )
    generate(ours.port, WARM_UP_S)
    ours.caught_up_s()
    counted = Counted(ours)
    with ours.without_persister() if persister == "stopped" else nullcontext():
        found = measured(ours.groups, lambda: generate(ours.port, seconds), standing)
        journal = counted.check(found["orders"], in_flight=BATCH * CLIENTS)
        behind = journal["durable_sequence"] - (ours.checkpoint() - counted.checkpoint)
    more = {"persister_behind_commands": max(0, behind), "orders_per_sync": found["orders"] / journal["groups"]}
    if catch_up:
        more["persister_behind_s"] = ours.caught_up_s()
    return {**found, **more, "live_orders": journal["live_orders"], "bytes_on_disk": ours.bytes_on_disk()}


def run_seed(seed: Seed, workers: int, seconds: int, standing: Groups) -> Run:
    with seed.serving(workers):
        generate(seed.port, WARM_UP_S)
        before = seed.settled()
        found = measured(seed.groups, lambda: generate(seed.port, seconds), standing)
        written = seed.settled() - before
    if not found["orders"] <= written <= found["orders"] + BATCH * CLIENTS:
        raise Unmeasured(f"the seed design answered {found['orders']} orders and wrote {written} rows")
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        seed = stack.enter_context(seeded(folder / "seed", {}))
        ours = stack.enter_context(deployed(home=folder / "home"))
        beside = report.beside(ours.journal) | {"peer_durability": seed.durability()}

        def seed_run(workers: int) -> Callable[[], Run]:
            return lambda: run_seed(seed, workers, options.run_seconds, ours.groups)

        runs = interleaved(
            {
                "ours": lambda: run_ours(ours, options.run_seconds, seed.groups, persister="stopped"),
                "ours, persister running": lambda: run_ours(
                    ours, options.run_seconds, seed.groups, persister="running"
                ),
                **{f"seed design x{workers}": seed_run(workers) for workers in options.seed_workers},
            },
            options.rounds,
            options.tries,
        )
        if options.seconds:
            long = {
                f"ours, {options.seconds} s": lambda: run_ours(
                    ours, options.seconds, seed.groups, persister=options.persister, catch_up=False
                )
            }
            runs |= interleaved(long, 1)
    found = {name: medians(kept) for name, kept in runs.items()}
    best = max((name for name in found if name.startswith("seed design")), key=lambda name: found[name]["per_s"])
    figure = found[f"ours, {options.seconds} s" if options.seconds else "ours"]["per_s"]
    target = TARGET_PER_S_SHORT if options.short else TARGET_PER_S
    return {
        "benchmark": "order_batch",
        "ratio": round(found["ours"]["per_s"] / found[best]["per_s"], 2),
        "orders_per_s": figure,
        "target_per_s": target,
        "met": figure >= target,
        "best_seed_design": best,
        "conditions": {
            "clients": CLIENTS,
            "batch": BATCH,
            "layout": "engine",
            "authentication": "none",
            "persister": options.persister,
            "nginx": nginx(),
            "generator": f"{wrk.version()}, one thread, on the same processors",
            "rounds": options.rounds,
            "seconds": options.seconds or options.run_seconds,
        },
        "designs": found,
        **beside,
        "runs": runs,
    }


def main() -> int:
    parser = report.options("order_batch", "Batches of a hundred orders through nginx, against the seed design.")
    parser.add_argument("--rounds", type=int, help="short runs of each design; 5, with --short 1")
    parser.add_argument("--seconds", type=int, help="of the long run; 60, with --short none")
    parser.add_argument("--persister", choices=("stopped", "running"), default="stopped", help="in the long run")
    options = parser.parse_args()
    options.tries = 1 if options.short else TRIES
    options.rounds = options.rounds or (1 if options.short else 5)
    options.run_seconds = 2 if options.short else 4
    options.seed_workers = (2,) if options.short else (1, 2, 4)
    if options.seconds is None:
        options.seconds = 0 if options.short else 60
    return report.guarded(lambda: report.finish(measure(options), as_json=options.json))


if __name__ == "__main__":
    sys.exit(main())
