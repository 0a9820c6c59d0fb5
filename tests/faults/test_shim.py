"""The shim itself: it does what it says, only where it should, and to every program that is started through it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import shim

pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(shim.missing()), reason=shim.missing())]
WORK = """
import os, sys
with open(sys.argv[1], "wb", buffering=0) as file:
    for number in range(4):
        print(file.write(b"%d\\n" % number), flush=True)
        os.fdatasync(file)
"""
IN_A_CLEAN_CHILD = (
    "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:], env={'PATH': '/usr/bin'}).returncode % 256)"
)


def run(path: Path, environment: dict[str, str], *before: str) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", WORK, str(path)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("fault", "code", "written"),
    [
        ("write:3:before", -9, b"0\n1\n"),
        ("write:3:half", -9, b"0\n1\n2"),
        ("sync:3:after", -9, b"0\n1\n2\n"),
        ("fdatasync:2:before", -9, b"0\n1\n"),
        ("fdatasync:2:errno:5", 1, b"0\n1\n"),
        ("write:2:errno:28", 1, b"0\n"),
        ("write:2+:short:1", 0, b"0\n123"),
        ("write:2:phantom", 0, b"0\n2\n3\n"),
    ],
)
def test_a_fault_strikes_the_call_it_names(tmp_path: Path, fault: str, code: int, written: bytes) -> None:
    fired = tmp_path / "fired"
    (tmp_path / "disk").mkdir()
    (tmp_path / "other").mkdir()
    environment = shim.environment(tmp_path / "disk", fault=fault, fired=fired)
    assert run(tmp_path / "other" / "file", environment).returncode == 0
    assert not fired.exists(), "another folder is left alone"
    done = run(tmp_path / "disk" / "file", environment)
    assert (done.returncode, (tmp_path / "disk" / "file").read_bytes()) == (code, written), done.stderr
    assert fired.exists()


def test_a_fault_can_be_of_one_file_and_reaches_children_with_a_clean_environment(tmp_path: Path) -> None:
    environment = shim.environment(tmp_path, fault="write:1:errno:28", only="/this")
    child = (sys.executable, "-c", IN_A_CLEAN_CHILD)
    assert run(tmp_path / "not-this", environment, *child).returncode == 0
    done = run(tmp_path / "this", environment, *child)
    assert done.returncode == 1 and "No space left on device" in done.stderr


def test_words_it_does_not_know_end_the_program_at_once(tmp_path: Path) -> None:
    done = run(tmp_path / "file", {**shim.environment(tmp_path), "FAULT_SHIM": f"under={tmp_path};slowly=1"})
    assert done.returncode == 99 and "unknown key" in done.stderr
    assert not (tmp_path / "file").exists()


def test_a_slow_disk_gets_slower_and_faster_while_a_program_runs(tmp_path: Path) -> None:
    disk = shim.SlowDisk(tmp_path)
    timed = "import os, sys, time\nfile = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)\nfor _ in sys.stdin:\n"
    timed += "    at = time.monotonic()\n    os.fdatasync(file)\n    print(time.monotonic() - at, flush=True)\n"
    with subprocess.Popen(
        [sys.executable, "-c", timed, str(tmp_path / "file")], env={**os.environ, **disk.environment},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        for sync_us in (0, 300_000, 0):
            disk.sync_us = sync_us
            process.stdin.write("\n")
            process.stdin.flush()
            took_s = float(process.stdout.readline())
            assert took_s >= sync_us / 1e6
    disk.close()
