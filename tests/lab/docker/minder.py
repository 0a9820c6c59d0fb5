"""Ends a test's Docker engine when who started it is gone, however that one ended.

    python -m tests.lab.docker.minder RUN        its standard input is a pipe that the starter holds open

Every process of the engine has a path below RUN in its command line. The lock of the images' folder is inherited, so nobody starts
another engine on them before the last process of this one is gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

STOP_S = 60.0
LOOK_S = 0.1
KILL_S = 10.0


def main() -> int:
    run = Path(sys.argv[1])
    sys.stdin.buffer.read()
    for pid in daemons(run):
        _send(pid, signal.SIGTERM)  # it ends its containers, each by its own signal
    _until(lambda: not daemons(run), STOP_S)
    _until(lambda: not _killed(run), KILL_S)
    for mount in _mounts(run):
        subprocess.run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(run, ignore_errors=True)
    return 0


def daemons(run: Path) -> list[int]:
    return [pid for pid, words in _processes(run).items() if Path(words[0]).name == "dockerd"]


def _killed(run: Path) -> bool:
    """Whether any was left: a shim of containerd outlives its engine, and what runs in a container its shim."""
    left = _processes(run)
    for pid in left:
        for child in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                for one in child.read_text().split():
                    _send(int(one), signal.SIGKILL)
        _send(pid, signal.SIGKILL)
    return bool(left)


def _processes(run: Path) -> dict[int, list[str]]:
    """Those that name a path below RUN. One that has ended and waits for its parent has no command line any more."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                if os.fsencode(f"{run}/") in line:
                    found[int(entry.name)] = os.fsdecode(line).split("\0")
    return found


def _mounts(run: Path) -> list[str]:
    """The innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{run}/")), reverse=True)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
