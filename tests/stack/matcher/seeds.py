"""The command line of a fuzzer: one seed after the other for some time, until one shows a difference."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from stack.matcher import commits


def try_seeds(description: str | None, compare: Callable[[int], str], passed: str) -> int:
    """Exit code 10 and the seed where `compare` says what differs. `passed`: what a round is and that it was good."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    commits.SYNC_INLINE_MAX_S = 3600.0  # how commits are grouped must not hang on the disk
    end_s, seed = time.monotonic() + options.seconds, options.seed
    while time.monotonic() < end_s:
        if different := compare(seed):
            print(f"seed {seed}: {different}", file=sys.stderr)
            return 10
        seed += 1
    print(f"{seed - options.seed} {passed}, from seed {options.seed} on")
    return 0
