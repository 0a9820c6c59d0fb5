"""How long a deploy takes: from nothing, with everything warm, with nothing to do; and how long `--help` takes.

    python -m benchmarks.deploy [--runs 5] [--json]

Four figures, because these are the four waits a user meets. The engine is built before; each cold run has a state folder of
its own. The peer of `--help` is the bare interpreter in the same run: what is ours is the difference.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import report, waits
from benchmarks.harness.waits import seconds
from tests.faults.stack import Stack

TARGETS_S = {"cold": 15.0, "warm": 5.0, "nothing_to_do": 1.0, "help": 0.3}


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
    options = waits.options(__doc__.splitlines()[0]).parse_args()
    took: dict[str, list[float]] = {name: [] for name in (*TARGETS_S, "interpreter")}
    for _ in range(options.runs):
        one_round(took)
    return waits.finish("deploy", took, TARGETS_S, report.beside(), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
