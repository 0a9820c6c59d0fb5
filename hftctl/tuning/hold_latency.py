"""Hold the wake-up latency of all CPUs: `python -m hftctl.tuning.hold_latency MICROSECONDS`, until a signal ends it.

The kernel keeps the wish for as long as the device is open, and not a moment longer.
"""

from __future__ import annotations

import os
import signal
import struct
import sys

DEVICE = "/dev/cpu_dma_latency"


def hold(latency_us: int) -> None:
    handle = os.open(DEVICE, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, struct.pack("=i", latency_us))
        signal.sigwait({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    finally:
        os.close(handle)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    hold(int(sys.argv[1]))
