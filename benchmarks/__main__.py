"""All benchmarks, one after the other, each with the machine it ran on.

    python -m benchmarks [--short]

With --short few and short runs against generous targets, for CI: it says that nothing is broken, not how fast anything is.
Exit code 11 when one of them missed its target, 1 when one could not be measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

EACH = {  # and what makes it short
    "engine_core": ("--commands", "20000", "--rounds", "1"),
    "probe": ("--short",),
    "tune_show": ("--short",),
    "deploy": ("--runs", "1"),
    "order_entry": ("--short",),
    "order_batch": ("--short",),
    "order_session": ("--short",),
    "order_latency": ("--short",),
    "persist": ("--short",),
    "memory": ("--short",),
    "cache_memory": ("--short",),
}
FAILED, BELOW_TARGET = 1, 11


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="All benchmarks, one after the other.")
    parser.add_argument("--short", action="store_true", help="few short runs and generous targets, for CI")
    short = parser.parse_args().short
    codes = {}
    for name, words in EACH.items():
        print(f"== {name}", flush=True)
        began = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}", *(words if short else ())]
        codes[name] = subprocess.run(command, check=False).returncode
        print(f"== {name} ended with {codes[name]} after {time.monotonic() - began:.0f} s", flush=True)
    print("  ".join(f"{name} {code}" for name, code in codes.items()))
    if any(code not in {0, BELOW_TARGET} for code in codes.values()):
        return FAILED
    return max(codes.values())


if __name__ == "__main__":
    sys.exit(main())
