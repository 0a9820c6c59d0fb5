"""All benchmarks, one after the other, each with the machine it ran on.

    python -m benchmarks

Exit code 11 when one of them missed its target.
"""

from __future__ import annotations

import subprocess
import sys

EACH = ("engine_core", "deploy")


def main() -> int:
    codes = []
    for name in EACH:
        print(f"== {name}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
