"""Metrics on a full disk: a process goes on counting, where a hole in a mapped file would be a SIGBUS."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")]
COUNTS = """
import os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from stack.metric_files import allocate_ahead
{allocate}
from prometheus_client import Counter
counter = Counter("orders", "orders", ["label"])
if sys.argv[2] == "later":
    counter.labels("first").inc()
with open(sys.argv[1] + "/other", "wb", buffering=0) as other:
    try:
        while True:
            other.write(bytes(4096))
    except OSError:
        pass
for number in range(6000):
    counter.labels(f"label-{{number}}").inc()
print(counter.labels("label-7")._value.get())
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    libc = ctypes.CDLL(None, use_errno=True)
    disk = tmp_path / "disk"
    disk.mkdir()
    if libc.mount(b"tmpfs", os.fsencode(disk), b"tmpfs", 0, b"size=512k"):
        pytest.skip(f"cannot mount a tmpfs: {os.strerror(ctypes.get_errno())}")
    yield disk
    libc.umount(os.fsencode(disk))


def count(disk: Path, when: str, allocate: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COUNTS.format(allocate=allocate), str(disk), when],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("when", ["later", "at once"])
def test_a_process_counts_on_while_the_disk_of_its_metrics_is_full(disk: Path, when: str) -> None:
    done = count(disk, when, "allocate_ahead()")
    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr
    assert "metrics of this process are not shown until its next start" in done.stderr


def test_without_the_allocation_the_same_would_end_it(disk: Path) -> None:
    assert count(disk, "later", "").returncode < 0
