"""An engine does not outlive who started it, and its folder is locked until all of it is gone."""

import fcntl
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Stand-ins by their command lines: one that ends when it is asked to, as dockerd does, and one that never does.
ASKED = "import sys, time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"


def test_what_a_killed_starter_leaves_is_ended_before_the_lock_is_free(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        minder = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.docker.minder", run],
            stdin=subprocess.PIPE, pass_fds=[lock.fileno()], start_new_session=True, cwd=ROOT,
        )  # fmt: skip
    engine = subprocess.Popen(["dockerd", "-c", ASKED, f"{run}/exec"], executable=sys.executable)
    shim = subprocess.Popen([sys.executable, "-c", STUBBORN, f"{run}/exec/shim"], stdout=subprocess.PIPE)
    other = subprocess.Popen([sys.executable, "-c", ASKED, f"{run}-other/exec"])
    try:
        shim.stdout.readline()
        with (tmp_path / "lock").open("w") as lock:
            with pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            minder.stdin.close()  # as the kernel does for one that was killed
            began = time.monotonic()
            fcntl.flock(lock, fcntl.LOCK_EX)
        assert time.monotonic() - began < 20
        assert (engine.wait(1), shim.wait(1)) == (-15, -9)
        assert other.poll() is None
        assert minder.wait(5) == 0
        assert not run.exists()
    finally:
        for one in (engine, shim, other, minder):
            one.kill()
            one.wait()
        shim.stdout.close()
