"""A load that is known: every period a real-time task takes one CPU for so long. `python -m tests.lab.burst CPU PERIOD_US BURST_US`.

Runs until its standard input ends; then it prints how many bursts there were and how long each was, in nanoseconds.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time

PRIORITY = 50


def main() -> None:
    cpu, period_ns, burst_ns = int(sys.argv[1]), 1000 * int(sys.argv[2]), 1000 * int(sys.argv[3])
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    print("ready", flush=True)
    bursts: list[tuple[int, int]] = []
    due = time.monotonic_ns() + period_ns
    while not select.select([sys.stdin], [], [], 0)[0]:
        time.sleep(max(due - time.monotonic_ns(), 0) / 1e9)
        begin = time.monotonic_ns()
        while (now := time.monotonic_ns()) - begin < burst_ns:
            pass
        bursts.append((begin, now - begin))
        due = max(due + period_ns, now)
    print(json.dumps(bursts), flush=True)


if __name__ == "__main__":
    main()
