"""The probe against rt-tests' oslat and cyclictest, and against the load itself, which counts its bursts.

All look at the same CPU under the same load: a real-time task that takes it for two milliseconds, forty times a second.
They run as real-time tasks of lower priority themselves, so that other programs of the machine do not count. oslat asks
the probe's question and must count the same; cyclictest asks how late a timer wakes, which follows from the probe's gaps: a
wake-up that falls into a gap is late by what is left of it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hftctl.tuning.probe.measure import measure

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

CPU = max(os.sched_getaffinity(0))
PERIOD_US, BURST_US = 25_000, 2_000
LONG_US = 1_000  # what counts as one of the bursts; oslat's last bucket has all that is longer
LONGEST_US = (
    2 * BURST_US
)  # what is longer is the kernel's own: it takes the CPU from real-time loops that never sleep, 5 %
PRIORITY = "1"
SECONDS = 6
WAKE_US = 1_237  # no part of the period, so that wake-ups fall everywhere
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def tools():
    for name in ("oslat", "cyclictest"):
        if subprocess.run(["which", name], capture_output=True, check=False).returncode:
            pytest.skip(f"{name} is not installed: apt install rt-tests")
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except PermissionError:
        pytest.skip("real-time tasks need root")


@contextmanager
def bursts() -> Iterator[list[tuple[int, int]]]:
    """Filled once the load has ended: (begin, length) of each burst in ns of the monotonic clock."""
    words = [sys.executable, "-m", "tests.lab.burst", str(CPU), str(PERIOD_US), str(BURST_US)]
    found: list[tuple[int, int]] = []
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        assert load.stdout.readline() == "ready\n"
        try:
            yield found
        finally:
            said, _ = load.communicate()
    found.extend(map(tuple, json.loads(said)))


def within(found: list[tuple[int, int]], begin_ns: int, end_ns: int) -> int:
    return sum(begin_ns <= begin < end_ns for begin, _ in found)


@pytest.fixture(scope="module")
def probed():
    with bursts() as found:
        begin = time.monotonic_ns()
        report = measure([CPU], duration_s=SECONDS, fifo=True)
        end = time.monotonic_ns()
    (cpu,) = report.cpus
    return cpu, len([one for one in found if begin <= one[0] < end]) / ((end - begin) / 1e9)


def per_second(cpu, longer_than_us: int, up_to_us: int = 3600_000_000) -> float:
    return (cpu.steps.above(1000 * longer_than_us) - cpu.steps.above(1000 * up_to_us)) / cpu.elapsed_s


def late_share(cpu, longer_than_us: int) -> float:
    """The part of all moments at which something that wakes up then is later than that."""
    limit = 1000 * longer_than_us
    gaps = [(low, high, count) for low, high, count in cpu.steps.filled(limit) if high <= 1000 * LONGEST_US]
    late = sum(((low + high) / 2 - limit) * count for low, high, count in gaps)
    return late / (cpu.elapsed_s * 1e9)


def test_every_burst_is_counted_and_little_else(probed):
    cpu, load_per_s = probed
    print(f"load {load_per_s:.1f} bursts/s, probe {per_second(cpu, LONG_US):.1f} gaps/s above {LONG_US} us")
    assert per_second(cpu, LONG_US, LONGEST_US) == pytest.approx(load_per_s, rel=0.1)
    taken = 1e6 * BURST_US / PERIOD_US
    print(f"load takes {taken:,.0f} ppm, probe lost {cpu.lost_ppm:,.0f} ppm")
    assert cpu.lost_ppm >= 0.9 * taken


def test_oslat_counts_the_same(probed, tmp_path):
    cpu, _ = probed
    file = tmp_path / "oslat.json"
    with bursts() as found:
        begin = time.monotonic_ns()
        words = ["oslat", "-q", "-f", PRIORITY, "-c", str(CPU), "-D", f"{SECONDS}s", "-b", "1024", f"--json={file}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
        end = time.monotonic_ns()
    assert done.returncode == 0, done.stderr + done.stdout
    assert within(found, begin, end)
    report = json.loads(file.read_text())
    (thread,) = report["thread"].values()
    long = sum(count for us, count in thread["histogram"].items() if float(us) > LONG_US)
    theirs = long / thread["duration"]
    print(f"oslat {theirs:.1f}/s above {LONG_US} us, probe {per_second(cpu, LONG_US):.1f}/s")
    assert per_second(cpu, LONG_US) == pytest.approx(theirs, rel=0.15)


def test_cyclictest_wakes_late_as_often_as_the_gaps_say(probed):
    cpu, _ = probed
    with bursts():
        words = [
            "cyclictest",
            "-q",
            "-m",
            "-a",
            str(CPU),
            "-t",
            "1",
            "-p",
            "10",
            "-i",
            str(WAKE_US),
            "-D",
            str(2 * SECONDS),
            "-h",
            "20000",
        ]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(\d{6}) (\d+)", done.stdout, re.MULTILINE)
    total = sum(int(count) for _, count in rows)
    limit_us = BURST_US // 2
    theirs = sum(int(count) for us, count in rows if int(us) > limit_us) / total
    ours = late_share(cpu, limit_us)
    print(
        f"cyclictest: {100 * theirs:.2f} % of {total} wake-ups later than {limit_us} us; by the probe's gaps {100 * ours:.2f} %"
    )
    assert ours == pytest.approx(theirs, rel=0.25)
