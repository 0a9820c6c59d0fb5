"""Orders over a binary session in batches of a hundred, durable before they are answered; against HTTP batches through nginx.

    python -m benchmarks.order_session [--json] [--short] [--seconds 60]
    python -m benchmarks.order_session --persister [--json] [--seconds 60] [--rate 110000]

Two figures: orders per second over a minute, and how many times those of HTTP batches of the same orders on the same engine that is
(`ratio`). The client is `stack/client` in plain Python, one process, one session, sixteen batches under way, on the same
processors as the engine. Every order has an id of its own, books stay small however long it lasts, and each answered order
stands in the journal, none refused. The persister is stopped meanwhile (SIGSTOP), as the target is about durable orders.

With --persister it runs, orders come at a rate (open loop), and the figures are rows per second in PostgreSQL and how long after the
last answer PostgreSQL had everything.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.harness import report, wrk
from benchmarks.harness.deployment import Counted, Deployment, deployed
from benchmarks.harness.measured import Answered, Unmeasured, measured
from benchmarks.harness.rounds import TRIES, Run, interleaved, medians
from benchmarks.order_batch import generate as http_batches
from benchmarks.order_entry import nginx
from benchmarks.order_session_client import KEY_VARIABLE

BATCH, WINDOW = 100, 16
HTTP_CLIENTS = 8
TARGET_PER_S, TARGET_PER_S_SHORT = 400_000, 40_000
TARGET_ROWS_PER_S, LAG_S_MAX = 100_000, 5.0
WARM_UP_S = 1
FREE_BYTES_MIN = 40 << 30
ROOT = Path(__file__).parents[1]


def session(port: int, seconds: int, *, rate: int = 0, key: str = "") -> Answered:
    run = f"s{secrets.token_hex(5)}"
    command = [sys.executable, "-m", "benchmarks.order_session_client", str(port), run, "--seconds", str(seconds)]
    command += ["--batch", str(BATCH), "--window", str(WINDOW), "--rate", str(rate)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT), KEY_VARIABLE: key}, capture_output=True, text=True,
        check=False, timeout=3 * seconds + 60,
    )  # fmt: skip
    if done.returncode != 0:
        raise Unmeasured(f"the session's client ended with {done.returncode}: {done.stderr[-400:]}")
    said = json.loads(done.stdout)
    if set(said["outcomes"]) != {"0"}:
        raise Unmeasured(f"not every order was taken; by outcome: {said['outcomes']}")
    return Answered(said["orders"], said["seconds"], said["latency_ms"], said["cpu_s"], requests=said["batches"])


def run_session(ours: Deployment, seconds: int, *, persister: bool, rate: int = 0) -> Run:
    free = shutil.disk_usage(ours.folder).free
    if seconds > 10 and free < FREE_BYTES_MIN:
        raise Unmeasured(f"{free >> 30} GiB are free below {ours.folder}; {seconds} s may want {FREE_BYTES_MIN >> 30}")
    port = ours.stack.binary
    session(port, WARM_UP_S, rate=rate)
    ours.caught_up_s()
    counted = Counted(ours)
    rows = ours.rows()
    with nullcontext() if persister else ours.without_persister():
        found = measured(ours.groups, lambda: session(port, seconds, rate=rate))
        written = ours.rows() - rows if persister else 0
        journal = counted.check(found["orders"], in_flight=0)
    found["orders_per_sync"] = round(found["orders"] / journal["groups"], 1)
    found["live_orders"] = journal["live_orders"]
    if persister:
        found["rows_per_s"] = round(written / found["seconds"], 1)
        found["rows_due_per_s"] = round(journal["durable_events"] / found["seconds"], 1)
        found["lag_at_end_s"] = round(ours.caught_up_s(), 3)
        if ours.rows() - rows != journal["durable_events"]:
            raise Unmeasured(
                f"the journal has {journal['durable_events']} events more than before, PostgreSQL {ours.rows() - rows}"
            )
    return {**found, "bytes_on_disk": ours.bytes_on_disk()}


def run_http(ours: Deployment, seconds: int) -> Run:
    http_batches(ours.port, WARM_UP_S)
    ours.caught_up_s()
    counted = Counted(ours)
    with ours.without_persister():
        found = measured(ours.groups, lambda: http_batches(ours.port, seconds))
        journal = counted.check(found["orders"], in_flight=BATCH * HTTP_CLIENTS)
    return {
        **found,
        "orders_per_sync": round(found["orders"] / journal["groups"], 1),
        "live_orders": journal["live_orders"],
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        ours = stack.enter_context(deployed("binary_door: true\n", home=folder / "home"))
        beside = report.beside(ours.journal)
        if options.persister:
            return with_persister(ours, options) | beside
        runs = interleaved(
            {
                "binary session": lambda: run_session(ours, options.run_seconds, persister=False),
                "HTTP batches through nginx": lambda: run_http(ours, options.run_seconds),
            },
            options.rounds,
            options.tries,
        )
        ours.caught_up_s()
        long = f"binary session, {options.seconds} s"
        if options.seconds:
            runs |= interleaved({long: lambda: run_session(ours, options.seconds, persister=False)}, 1, options.tries)
        beside["bytes_on_disk"] = ours.bytes_on_disk()
    found = {name: medians(kept) for name, kept in runs.items()}
    figure = found[long if options.seconds else "binary session"]["per_s"]
    target = TARGET_PER_S_SHORT if options.short else TARGET_PER_S
    return {
        "benchmark": "order_session",
        "ratio": round(found["binary session"]["per_s"] / found["HTTP batches through nginx"]["per_s"], 2),
        "orders_per_s": figure,
        "target_per_s": target,
        "met": figure >= target,
        "conditions": {
            **conditions(options, persister="stopped"),
            "http": f"{HTTP_CLIENTS} connections, {wrk.version()}, one thread",
            "nginx": nginx(),
        },
        "designs": found,
        **beside,
        "runs": runs,
    }


def with_persister(ours: Deployment, options: argparse.Namespace) -> dict[str, Any]:
    title = "binary session, persister running"
    seconds = options.seconds or options.run_seconds
    runs = interleaved({title: lambda: run_session(ours, seconds, persister=True, rate=options.rate)}, 1, options.tries)
    found = medians(runs[title])
    return {
        "benchmark": "order_session",
        "ratio": round(found["per_s"] / TARGET_ROWS_PER_S, 2),
        "orders_per_s": found["per_s"],
        "rows_per_s": found["rows_per_s"],
        "lag_at_end_s": found["lag_at_end_s"],
        "target_per_s": TARGET_ROWS_PER_S,
        "lag_s_max": LAG_S_MAX,
        "met": found["per_s"] >= TARGET_ROWS_PER_S and found["lag_at_end_s"] <= LAG_S_MAX,
        "conditions": conditions(options, persister="running") | {"rate_per_s": options.rate},
        "designs": {title: found},
        "runs": runs,
    }


def conditions(options: argparse.Namespace, *, persister: str) -> dict[str, Any]:
    return {
        "batch": BATCH,
        "window": WINDOW,
        "authentication": "none",
        "persister": persister,
        "client": "stack/client, plain Python, one process, on the same processors",
        "rounds": options.rounds,
        "seconds": options.seconds or options.run_seconds,
    }


def main() -> int:
    parser = report.options("order_session", "Orders over a binary session, against HTTP batches through nginx.")
    parser.add_argument("--rounds", type=int, help="short runs of each design; 5, with --short 1")
    parser.add_argument("--seconds", type=int, help="of the long run; 60, with --short none")
    parser.add_argument("--persister", action="store_true", help="end to end into PostgreSQL, at --rate")
    parser.add_argument("--rate", type=int, default=110_000, help="orders per second, with --persister")
    options = parser.parse_args()
    options.tries = 1 if options.short else TRIES
    options.rounds = options.rounds or (1 if options.short else 5)
    options.run_seconds = 2 if options.short else 4
    if options.seconds is None:
        options.seconds = 0 if options.short else 60
    return report.guarded(lambda: report.finish(measure(options), as_json=options.json))


if __name__ == "__main__":
    sys.exit(main())
