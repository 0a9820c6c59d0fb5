"""Where an order's time goes at half of what the stack can take: per stage, and their sum against the whole.

    python -m benchmarks.order_latency [--json] [--short] [--layout engine|gateway] [--seconds 20]

The ceiling is what forty clients of the same generator reach in a closed loop; then orders come at half of it in an open loop,
and latency counts from when each was meant to be sent. `wait` is how long it was in the generator's hands until then: its loop
was busy, or all forty clients waited for answers. `edge` is that generator asking nginx for an answer of its own at the same
rate, from when it was written: nginx, the network and the generator without anything behind. The other stages are the services'
own histograms over the run, so their quantiles are upper bounds of buckets; means are exact. Quantiles of stages do not add up,
means do: what the means leave over is time between the stages: queues, wake-ups, and the second half of nginx. `ratio` is
explained / measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.harness import report
from benchmarks.harness.deployment import Counted, Deployment, deployed
from benchmarks.harness.measured import Answered, Unmeasured, measured
from benchmarks.harness.rounds import TRIES, Run, interleaved, medians
from benchmarks.order_entry import nginx
from benchmarks.order_latency_client import Seen
from stack.traffic.load_driver import Plan
from stack.traffic.load_report import latency, merged
from tests.faults.stack import ROOT

CLIENTS = 40
TARGET, TARGET_SHORT = 0.5, 0.2
METRICS_LAG_S = 0.7
CEILING_S = 3
Buckets = dict[float, float]
STAGE_FAMILY = "hft_stage_seconds"
FAMILIES = {
    "gateway": "hft_gateway_request_seconds",
    "link": "hft_gateway_engine_round_trip_seconds",
}  # the gateway's own


def histograms(port: int) -> dict[str, tuple[Buckets, float]]:
    """Of each stage: cumulated counts by upper bound in seconds, and the sum of seconds."""
    found: dict[str, tuple[Buckets, float]] = {}
    names = {family: stage for stage, family in FAMILIES.items()}
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10, trust_env=False).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            stage = sample.labels.get("stage", "") if family.name == STAGE_FAMILY else names.get(family.name, "")
            if not stage or sample.labels.get("route", "POST /orders") != "POST /orders":
                continue
            buckets, total = found.setdefault(stage, ({}, 0.0))
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + sample.value
            elif sample.name.endswith("_sum"):
                found[stage] = (buckets, total + sample.value)
    return found


def between(before: Mapping[str, tuple[Buckets, float]], after: Mapping[str, tuple[Buckets, float]]) -> dict[str, Any]:
    stages: dict[str, Any] = {}
    for stage, (buckets, total) in after.items():
        old, old_total = before.get(stage, ({}, 0.0))
        counts = {bound: count - old.get(bound, 0.0) for bound, count in sorted(buckets.items())}
        count = max(counts.values(), default=0.0)
        if not count:
            continue
        stages[stage] = {"mean_us": round((total - old_total) / count * 1e6, 1), "samples": int(count)}
        for name, share in (("p50_us", 0.5), ("p99_us", 0.99), ("p99_9_us", 0.999)):
            bound = next(bound for bound, cumulated in counts.items() if cumulated >= share * count)
            stages[stage][name] = round(bound * 1e6, 1) if bound != float("inf") else None
    return stages


def distribution(counts: Mapping[int, int]) -> dict[str, Any]:
    """Of microseconds and how often each was seen."""
    samples = sum(counts.values())
    found: dict[str, Any] = {
        "mean_us": round(sum(us * count for us, count in counts.items()) / samples, 1),
        "samples": samples,
    }
    for name, share in (("p50_us", 0.5), ("p99_us", 0.99), ("p99_9_us", 0.999)):
        below = 0
        for us in sorted(counts):
            below += counts[us]
            if below >= share * samples:
                found[name] = float(us)
                break
    return found


def generate(port: int, seconds: float, rate: float, kind: str) -> Seen:
    plan = Plan(
        worker=0, host="127.0.0.1", port=port, clients=CLIENTS, rate=rate, warmup_s=1.0, duration_s=seconds, seed=1,
        run=f"o{time.monotonic_ns():x}", account="demo", cancels=False, instruments=_instruments(port),
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.order_latency_client", kind], input=msgspec.json.encode(plan), cwd=ROOT,
        capture_output=True, check=False, timeout=seconds + 60,
    )  # fmt: skip
    if done.returncode != 0:
        raise Unmeasured(f"the generator ended with exit code {done.returncode}: {done.stderr.decode()[-400:]}")
    seen = msgspec.json.decode(done.stdout, type=Seen)
    total = seen.counts
    if total.ok != total.requests or total.errors:
        raise Unmeasured(f"{total.requests - total.ok} of {total.requests} requests failed: {total.errors}")
    return seen


def _instruments(port: int) -> list[dict[str, Any]]:
    found = httpx.get(f"http://127.0.0.1:{port}/instruments", timeout=10, trust_env=False).json()["instruments"]
    return [one for one in found if one["symbol"] in {"AAPL", "MSFT", "NVDA", "TSLA"}]


def run(ours: Deployment, seconds: float, rate: float, kind: str) -> Run:
    counted, before = Counted(ours), histograms(ours.port)
    seen: dict[str, Any] = {}

    def work() -> Answered:
        found = generate(ours.port, seconds, rate, kind)
        total, histogram = merged([found.counts])
        seen["mean_us"] = round(histogram.get_mean_value(), 1)
        seen["waited"], seen["answered"] = distribution(found.waited_us), distribution(found.answered_us)
        seen["late_percent"] = round(100 * (total.late + total.not_sent) / max(1, total.requests), 3)
        latencies = {name: value or 0.0 for name, value in latency(histogram).items()}
        return Answered(total.requests, seconds, latencies, total.cpu_s)

    found = measured(ours.groups, work)
    time.sleep(METRICS_LAG_S)
    stages = between(before, histograms(ours.port))
    if kind == "orders":
        done = counted.difference()
        if done["durable_sequence"] < found["orders"] or done["refused"]:
            raise Unmeasured(f"{found['orders']} orders were answered; the journal says {done}")
    return {**found, **seen, "stages": stages if kind == "orders" else {}}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with deployed(f"order_entry: {options.layout}\n") as ours:
        beside = report.beside(ours.journal)
        bare = interleaved({"ceiling": lambda: run(ours, CEILING_S, 0, "orders")}, options.rounds, options.tries)
        ceiling = medians(bare["ceiling"])
        rate = round(ceiling["per_s"] / 2)
        runs = interleaved(
            {
                "edge": lambda: run(ours, options.seconds, rate, "edge"),
                "orders": lambda: run(ours, options.seconds, rate, "orders"),
            },
            options.rounds,
            options.tries,
        )
    found = {"ceiling, closed loop": ceiling, **{name: medians(kept) for name, kept in runs.items()}}
    whole, edge = found["orders"], found["edge"]
    stages = {"wait": whole["waited"], "edge": edge["answered"], **whole["stages"]}
    counted = [name for name in stages if name not in _contained(stages)]
    explained = sum(stages[name]["mean_us"] for name in counted) / whole["mean_us"]
    return {
        "benchmark": "order_latency",
        "ratio": round(explained, 3),
        "target": TARGET_SHORT if options.short else TARGET,
        "met": explained >= (TARGET_SHORT if options.short else TARGET),
        "rate_per_s": rate,
        "whole_us": quantiles(whole),
        "late_percent": whole["late_percent"],
        "stages": stages,
        "added_up": counted,
        "left_over_us": round(whole["mean_us"] * (1 - explained), 1),
        "conditions": {
            "clients": CLIENTS,
            "layout": options.layout,
            "authentication": "none",
            "persister": "running",
            "nginx": nginx(),
            "generator": "stack.traffic, one process, on the same processors",
            "rounds": options.rounds,
            "seconds": options.seconds,
        },
        "designs": found,
        **beside,
        "runs": runs,
    }


def quantiles(run: Run) -> dict[str, float]:
    each = {f"{name}_us": round(run["latency_ms"][name] * 1000, 1) for name in ("p50", "p99", "p99_9")}
    return {"mean_us": run["mean_us"], **each}


def _contained(stages: Mapping[str, Any]) -> set[str]:
    """Stages that are parts of others: the link and the engine of a gateway's request, the engine's total of its own stages."""
    return set(stages) - {"wait", "edge", "gateway"} if "gateway" in stages else {"total"}


def main() -> int:
    parser = report.options("order_latency", "Latency at half of the ceiling, stage by stage.")
    parser.add_argument("--layout", choices=("engine", "gateway"), default="engine")
    parser.add_argument("--rounds", type=int, help="5, with --short 1")
    parser.add_argument("--seconds", type=int, help="of each run; 8, with --short 2")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.short else 5)
    options.seconds = options.seconds or (2 if options.short else 8)
    options.tries = 1 if options.short else TRIES

    def work() -> int:
        document = measure(options)
        if not options.json:
            print(f"{'stage':10} {'mean us':>10} {'p50 us':>10} {'p99 us':>10} {'p99.9 us':>10}")
            for name, stage in {**document["stages"], "whole": document["whole_us"]}.items():
                values = (stage[key] for key in ("mean_us", "p50_us", "p99_us", "p99_9_us"))
                print(f"{name:10} " + " ".join(f"{'-' if value is None else value:>10}" for value in values))
            document = {key: value for key, value in document.items() if key not in {"stages", "whole_us"}}
        return report.finish(document, as_json=options.json)

    return report.guarded(work)


if __name__ == "__main__":
    sys.exit(main())
