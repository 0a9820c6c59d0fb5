"""What one step of the probe's loop costs, against the same loop in C, compiled here and run in turn on the same CPU.

    python -m benchmarks.probe [--cpu N] [--rounds 5] [--seconds 1] [--short] [--json]

Two figures: nanoseconds of the middle step (half of all steps are shorter) of the Cython loop and of the C loop, medians of
alternating rounds. The middle step, because on a machine with neighbours the mean is theirs. Exit code 11 when the Cython
loop costs more than a tenth more.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from array import array
from pathlib import Path
from statistics import median

from benchmarks.harness.measured import Unmeasured
from benchmarks.harness.report import finish, guarded, options
from hftctl.tuning.probe.histogram import PLACES
from stack.traffic.load_machine import machine

PEER = Path(__file__).with_name("probe_peer.c")
ALLOWED = 1.10
THRESHOLD_NS = 200
WARM_S = 0.1


def main() -> int:
    parser = options("probe", "What a step of the probe's loop costs, against the same loop in C.")
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="where both loops run")
    parser.add_argument("--rounds", type=int, default=5, help="of each loop")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round")
    words = parser.parse_args()
    if words.short:
        words.rounds, words.seconds = 3, 0.2
    return guarded(lambda: finish(measure(words.cpu, words.rounds, words.seconds), as_json=words.json))


def measure(cpu: int, rounds: int, seconds: float) -> dict[str, object]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if platform.machine() != "x86_64" or compiler is None:
        raise Unmeasured("the peer needs a C compiler and a processor with rdtscp")
    from hftctl.tuning.probe.clock import choose

    scale = choose(Path("/proc/cpuinfo").read_text(), "counter").scale
    os.sched_setaffinity(0, {cpu})
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        peer = build(compiler, Path(folder))
        for _ in range(rounds):
            ours.append(cython_ns(scale, seconds))
            theirs.append(c_ns(peer, scale, seconds))
    ratio = round(median(ours) / median(theirs), 3)
    return {
        "cython_step_ns": median(ours),
        "c_step_ns": median(theirs),
        "ratio": ratio,
        "allowed": ALLOWED,
        "met": ratio <= ALLOWED,
        "runs": {"cython_step_ns": ours, "c_step_ns": theirs},
        "cpu": cpu,
        "machine": machine(),
    }


def build(compiler: str, folder: Path) -> ctypes.CDLL:
    library = folder / "peer.so"
    command = [compiler, "-O3", "-fwrapv", "-shared", "-fPIC", str(PEER), "-o", str(library)]
    subprocess.run(command, check=True)
    found = ctypes.CDLL(str(library))
    found.peer.restype = ctypes.c_uint64
    found.peer.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint64,
        ctypes.c_uint64,
        ctypes.c_uint64,
        ctypes.POINTER(ctypes.c_int),
    ]
    return found


def cython_ns(scale: int, seconds: float) -> float:
    from hftctl.tuning.probe.loop import Meeting, spin

    meeting = Meeting()
    threading.Timer(WARM_S, meeting.begin).start()  # the loop runs warm until then
    spun = spin(meeting, int(seconds * 1e9), scale, THRESHOLD_NS, True)
    counts = array("Q")
    counts.frombytes(spun["steps"])
    return middle(counts)


def c_ns(peer: ctypes.CDLL, scale: int, seconds: float) -> float:
    counts = array("Q", [0] * PLACES)
    address, _ = counts.buffer_info()
    per_second = (1 << 32) * 1_000_000_000 // scale
    for length_s in (WARM_S, seconds):  # warm, then counted
        counts[:] = array("Q", [0] * PLACES)
        peer.peer(address, int(length_s * per_second), scale, THRESHOLD_NS, ctypes.byref(ctypes.c_int(0)))
    return middle(counts)


def middle(counts: array[int]) -> float:
    """The median step, between whole nanoseconds by how many steps are on either side."""
    half, seen = sum(counts) / 2, 0
    for value, count in enumerate(counts):
        if count and seen + count >= half:
            return round(value + (half - seen) / count, 2)
        seen += count
    return 0.0


if __name__ == "__main__":
    sys.exit(main())
