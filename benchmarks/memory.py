"""Memory of every component under load for as long as wanted: bounded, and flat after a warm-up.

    python -m benchmarks.memory [--minutes 60] [--rate 1500] [--report docs/reports/memory.md] [--json]

Orders and cancels come in an open loop (`stack.traffic.load`), batches of a hundred beside them. Tables, cache and segments are
smaller than by default, and 1.5 million orders fill them first, so that they are full whatever the machine's speed. The cache is not:
above some thousand events a second its news is coalesced, and `benchmarks.cache_memory` asks how it does when it is full. A sixth of the
time is warm-up. Each component is sampled every ten seconds; it fails (exit code 11) when its own memory grows by more than stated, or
is above its bound. `ratio` is the largest growth in relation to what is allowed: 1 and less is flat.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.harness import report
from benchmarks.harness.deployment import Deployment, deployed
from benchmarks.harness.measured import Unmeasured
from benchmarks.memory_bounds import bounds
from benchmarks.memory_samples import Sample, sample, trend
from hftctl.paths import Layout
from tests.faults.stack import ROOT

EVERY_S = 10.0
WARM_UP_SHARE = 6
ALLOWED_MIB, ALLOWED_SHARE = 4.0, 0.02
ALLOWED_MIB_SHORT = 128.0  # caches and buffers still fill up
BATCH, BATCH_EVERY_S = 100, 0.5
FILL_BATCHES, FILL_BATCHES_SHORT = 15_000, 300
SETTINGS = """\
engine:
  max_live_orders: 65536
  client_ids_max: 262144
  segment_bytes: 16777216
redis:
  max_memory_bytes: 67108864
"""


class Batches(threading.Thread):
    """Batches of crossing orders beside the load, so that books stay empty of them."""

    def __init__(self, ours: Deployment) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{ours.port}/orders/batch"
        self._run = secrets.token_hex(4)
        self._over = threading.Event()
        self.sent = 0
        self.problem = ""

    def fill(self, batches: int) -> None:
        """One after the other, before anything else. Raises Unmeasured."""
        with httpx.Client(timeout=30, trust_env=False) as client:
            while self.sent < batches and not self.problem:
                self._send(client)
        if self.problem:
            raise Unmeasured(self.problem)

    def run(self) -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            while not self.problem and not self._over.wait(BATCH_EVERY_S):
                self._send(client)

    def _send(self, client: httpx.Client) -> None:
        answer = client.post(self._url, json=[self._order(n) for n in range(BATCH)])
        refused = [] if answer.status_code == 200 else [answer.text[:200]]
        refused += [item for item in answer.json() if item["status"] not in {200, 201}] if not refused else []
        if refused:
            self.problem = f"a batch was answered with {answer.status_code}: {refused[0]}"
        else:
            self.sent += 1

    def _order(self, number: int) -> dict[str, str]:
        sells = number % 2 == 0
        return {
            "client_order_id": f"{self._run}-{self.sent}-{number}", "account": "demo", "symbol": "NVDA",
            "side": "sell" if sells else "buy", "type": "limit", "price": f"{900 + number // 2 % 10}.00", "quantity": "1",
            "time_in_force": "GTC" if sells else "IOC",
        }  # fmt: skip

    def end(self) -> None:
        self._over.set()
        self.join(60)


def watch(
    ours: Deployment, seconds: float, rate: float, log: Path | None, filling: int
) -> tuple[Sample, list[Sample], dict[str, Any], int]:
    at_rest = sample(ours.groups, time.monotonic())
    batches = Batches(ours)
    batches.fill(filling)
    ours.caught_up_s()
    began_s = time.monotonic()
    load = subprocess.Popen(
        [sys.executable, "-m", "stack.traffic.load", "--url", f"http://127.0.0.1:{ours.port}", "--rate", str(rate), "--json",
         "--duration", str(seconds), "--warmup", "1", "--min-success", "0",
         "--mix", "orders+cancels", "--symbols", "AAPL", "MSFT", "TSLA", "BTCUSD"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    batches.start()
    samples = []
    try:
        while time.monotonic() < began_s + seconds:
            time.sleep(min(EVERY_S, seconds / 10))
            samples.append(sample(ours.groups, began_s))
            if log:
                with log.open("a") as file:
                    file.write(json.dumps(samples[-1]._asdict()) + "\n")
            if load.poll() is not None:
                break
            if batches.problem:
                raise Unmeasured(batches.problem)
        said, _ = load.communicate(timeout=120)
    finally:
        batches.end()
        if load.poll() is None:
            load.kill()
            load.wait()
    if load.returncode != 0 or batches.problem:
        raise Unmeasured(f"the load ended with exit code {load.returncode}: {said[-400:]} {batches.problem}")
    seen = json.loads(said)
    if seen["succeeded"] != seen["requests"]:  # on a busy machine some are not sent in time; what was sent must succeed
        raise Unmeasured(f"{seen['requests'] - seen['succeeded']} requests failed: {seen['errors']}")
    return at_rest, samples, seen, batches.sent


def measure(minutes: float, rate: float, log: Path | None, allowed_mib: float, filling: int) -> dict[str, Any]:
    with deployed(SETTINGS) as ours:
        ours.caught_up_s()
        at_rest, samples, load, batches = watch(ours, minutes * 60, rate, log, filling)
        behind_s = ours.caught_up_s()
        if ours.groups != {name: [pid] for name, pid in ours.stack.pids().items()}:
            raise Unmeasured("a component was started again in between; its log says why")
        profile = json.loads((ours.folder / "release.json").read_bytes())["profile"]
        allowed = bounds(profile, Layout(ours.folder), at_rest.own_mib)
        on_disk, commands = ours.bytes_on_disk(), ours.status()["durable_sequence"]
    steady = [one for one in samples if one.at_s >= minutes * 60 / WARM_UP_SHARE]
    if len(steady) < 5:
        raise Unmeasured(f"{len(steady)} samples after the warm-up say nothing; give more --minutes")
    components: dict[str, dict[str, Any]] = {}
    for name, rest_mib in at_rest.own_mib.items():
        found = trend(steady, name, allowed_mib, ALLOWED_SHARE)
        most = max(one.own_mib[name] for one in samples)
        components[name] = {
            "at_rest_mib": rest_mib, "max_mib": most, "bound_mib": allowed[name][0], "bound": allowed[name][1], **found._asdict(),
            "flat": found.flat, "bounded": most <= allowed[name][0],
            "file_first_mib": steady[0].file_mib[name], "file_last_mib": steady[-1].file_mib[name],
            "rss_max_mib": max(one.rss_mib[name] for one in samples),
        }  # fmt: skip
    return {
        "benchmark": "memory",
        "ratio": round(max(c["grown_mib"] / c["allowed_mib"] for c in components.values()), 3),
        "target": 1.0,
        "met": all(c["flat"] and c["bounded"] for c in components.values()),
        "minutes": minutes, "rate_per_s": rate, "allowed_mib": allowed_mib,
        "batches_of_100": batches, "of_them_before": filling, "commands": commands, "samples": len(samples),
        "warm_up_minutes": round(minutes / WARM_UP_SHARE, 2),
        "components": components,
        "load": {key: load[key] for key in ("achieved_per_s", "success_percent", "latency_ms", "retries", "errors")},
        "persister_behind_s": round(behind_s, 2),
        "disk_bytes_per_command": {name: round(size / commands, 1) for name, size in on_disk.items()},
        **report.beside(),
    }  # fmt: skip


def page(document: dict[str, Any]) -> str:
    """The report in Markdown."""
    verdict = "bounded and flat" if document["met"] else "NOT FLAT OR NOT BOUNDED"
    lines = [
        "# Memory of each component under load", "",
        f"{document['minutes']} minutes at {document['rate_per_s']} requests/s (orders and cancels, open loop) and"
        f" {document['batches_of_100']} batches of 100, {document['of_them_before']} of them before:"
        f" {document['commands']:,} commands; {json.dumps(document['machine'])}.", "",
        f"Verdict: **{verdict}**", "",
        f"Own memory in MiB (anonymous and shared; PSS), sampled every {EVERY_S:.0f} s; the trend is a line fitted after the"
        f" first {document['warm_up_minutes']} minutes. It may grow by {document['allowed_mib']} MiB, {ALLOWED_SHARE:.0%} or"
        " three times its own noise."
        " File pages (mapped event log, program code) are the kernel's to take back and stand in the last column.", "",
        "| component | at rest | most | bound | grown | allowed | per hour | noise | verdict | file pages |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, c in document["components"].items():
        verdict = ", ".join((("flat" if c["flat"] else "GROWS"), ("bounded" if c["bounded"] else "ABOVE ITS BOUND")))
        lines.append(
            f"| {name} | {c['at_rest_mib']} | {c['max_mib']} | {c['bound_mib']} | {c['grown_mib']} | {c['allowed_mib']} |"
            f" {c['per_hour_mib']} | {c['noise_mib']} | {verdict} | {c['file_first_mib']} to {c['file_last_mib']} |"
        )
    lines += ["", "Bounds: what stands at rest, and", ""]
    lines += [f"- {name}: {c['bound']}" for name, c in document["components"].items()]
    rest = {key: document[key] for key in ("load", "persister_behind_s", "disk_bytes_per_command", "disk_sync")}
    return "\n".join([*lines, "", "```", json.dumps(rest, indent=1), "```", ""])


def main() -> int:
    parser = report.options("memory", "Memory of each component under load: bounded, and flat.")
    parser.add_argument("--minutes", type=float, help="60; with --short 0.6")
    parser.add_argument("--rate", type=float, default=1500.0, help="requests per second, open loop")
    parser.add_argument("--report", type=Path, help="write the report there, in Markdown")
    parser.add_argument("--samples", type=Path, help="append each sample there as a line of JSON")
    options = parser.parse_args()
    minutes = options.minutes or (0.6 if options.short else 60.0)

    def work() -> int:
        allowed_mib = ALLOWED_MIB_SHORT if options.short else ALLOWED_MIB
        filling = FILL_BATCHES_SHORT if options.short else FILL_BATCHES
        document = measure(minutes, options.rate, options.samples, allowed_mib, filling)
        if options.report:
            options.report.write_text(page(document))
        if options.json:
            return report.finish(document, as_json=True)
        print(page(document))
        return 0 if document["met"] else report.BELOW_TARGET

    return report.guarded(work)


if __name__ == "__main__":
    sys.exit(main())
