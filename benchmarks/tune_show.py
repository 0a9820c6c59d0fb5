"""How long `hftctl tune show` takes: on this machine, and on a host of 64 CPUs that a host profile is applied to.

    python -m benchmarks.tune_show [--runs 9] [--short] [--json]

Two figures in seconds, medians of whole commands from start to end; processor seconds and files looked at beside them. The
second host is a tree of files on this disk, as `tune facts --capture` writes them, because a machine of that size is rare where
this runs; looking at a file costs about the same in /sys. The peer is the bare interpreter in the same run: what is ours is the
difference. Exit code 11 when one of them takes a second or more.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness.report import finish, guarded, options
from hftctl.operations.tune_show import show
from stack.traffic.load_machine import machine
from tests.hftctl.tuning.driving import apply
from tests.hftctl.tuning.machines import MACHINES
from tests.hftctl.tuning.trees import build

TARGET_S, GENEROUS_S = 1.0, 2.0
LARGE, PROFILE = "amd-two-socket", "latency"
SHOW = [sys.executable, "-m", "hftctl", "tune", "show", "-o", "json"]


def main() -> int:
    parser = options("tune_show", "How long `hftctl tune show` takes.")
    parser.add_argument("--runs", type=int, default=9, help="of each")
    words = parser.parse_args()
    runs, target_s = (3, GENEROUS_S) if words.short else (words.runs, TARGET_S)
    return guarded(lambda: finish(measure(runs, target_s), as_json=words.json))


def measure(runs: int, target_s: float) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="hftctl-bench-") as folder:
        large = build(Path(folder, LARGE), MACHINES[LARGE])
        apply(large, PROFILE)
        commands = {
            "this_machine": SHOW,
            "large_host": [*SHOW, "--root", str(large)],
            "interpreter": [sys.executable, "-c", "pass"],
        }
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(runs):
            for name, command in commands.items():
                took[name].append(timed(command))
        files = {"this_machine": files_looked_at(Path("/")), "large_host": files_looked_at(large)}
    figures = {
        f"{name}_{unit}": round(statistics.median(one[place] for one in values), 3)
        for name, values in took.items()
        for place, unit in enumerate(("s", "cpu_s"))
    }
    return {
        **figures,
        "files": files,
        "target_s": target_s,
        "met": figures["this_machine_s"] < target_s and figures["large_host_s"] < target_s,
        "runs": took,
        "machine": machine(),
    }


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds from start to end, and of processor time."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    whole, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return whole, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def files_looked_at(root: Path) -> int:
    """Files opened by one look, in this process: Python's own modules are loaded already."""
    opened: list[object] = []
    counting = [True]
    sys.addaudithook(lambda event, given: opened.append(given[0]) if counting[0] and event == "open" else None)
    show(root)
    counting[0] = False
    return len(opened)


if __name__ == "__main__":
    sys.exit(main())
