"""How long a deploy takes: from nothing, with everything warm, with nothing to do; and how long `--help` takes.

    python -m benchmarks.deploy [--runs 5] [--json]

Four figures, because these are the four waits a user meets. The engine is built before; each cold run has a state folder of
its own. The peer of `--help` is the bare interpreter in the same run: what is ours is the difference.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stack.traffic.load_machine import machine, sync_probe
from tests.faults.stack import Stack

TARGETS_S = {"cold": 15.0, "warm": 5.0, "nothing_to_do": 1.0, "help": 0.3}


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def one_round(took: dict[str, list[float]]) -> None:
    with tempfile.TemporaryDirectory(prefix="hftctl-bench-") as home:
        stack = Stack("bench", Path(home))
        try:
            took["cold"].append(seconds(stack.deploy))
            took["nothing_to_do"].append(seconds(stack.deploy))
            stack.command("stop", "-p", "bench", "--yes")
            took["warm"].append(seconds(stack.deploy))
        finally:
            stack.destroy()
    took["help"].append(
        seconds(lambda: subprocess.run([sys.executable, "-m", "hftctl", "--help"], capture_output=True, check=True))
    )
    took["interpreter"].append(
        seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], capture_output=True, check=True))
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    took: dict[str, list[float]] = {name: [] for name in (*TARGETS_S, "interpreter")}
    for _ in range(options.runs):
        one_round(took)
    medians = {name: round(statistics.median(values), 3) for name, values in took.items()}
    met = all(medians[name] < target for name, target in TARGETS_S.items())
    report = {
        "benchmark": "deploy", "runs": options.runs, "median_s": medians, "target_s": TARGETS_S, "met": met,
        "all_s": {name: [round(value, 3) for value in values] for name, values in took.items()},
        "machine": machine(), "disk_sync": sync_probe(Path(tempfile.gettempdir())),
    }  # fmt: skip
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        for name, target in TARGETS_S.items():
            print(
                f"{name:15} {medians[name]:8.3f} s   target {target} s   {'met' if medians[name] < target else 'MISSED'}"
            )
        print(f"{'interpreter':15} {medians['interpreter']:8.3f} s   (the peer of help)")
        print(json.dumps(report["machine"] | report["disk_sync"]))
    return 0 if met else 11


if __name__ == "__main__":
    sys.exit(main())
