"""kill -9 of hftctl at a chosen write to the journal of rollouts, and what the next command makes of it.

    python -m tests.lab.docker.kills N before|after WORDS...     hftctl WORDS, killed around the Nth write

The next run must end at exactly the new or the old revision, without anybody unlocking anything.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from tests.lab.docker.scene import ROOT, Scene


@dataclass(frozen=True)
class Killed:
    """What became of one run that was killed."""

    reached: bool  # the boundary: False where the command ended before it
    next_s: float  # how long the next command took, the wait for the lock included
    result: str
    whole: bool  # what runs is exactly what the last revision wants


def killed(scene: Scene, number: int, when: str, *words: str) -> Killed:
    """Run a command that is killed at a boundary, then go on as a person would."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab.docker.kills", str(number), when, *words, "-o", "json"],
        cwd=ROOT, env={**os.environ, **scene.lab.engine.env, "HFTCTL_HOME": scene.home}, capture_output=True, text=True,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    reached = done.returncode == -signal.SIGKILL
    assert reached or done.returncode == 0, done.stderr
    started = time.monotonic()
    after = scene.hftctl("rollout", "continue", "-p", scene.name, "--lock-wait", "20s", "--yes")
    took_s = time.monotonic() - started
    found = scene.hftctl("drift", "-p", scene.name, expect=(0, 3))["findings"]
    return Killed(reached, took_s, after["result"], not found)


def main() -> None:
    number, when, words = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    from hftctl.targets.compose.store import StoredJournal

    write, count = StoredJournal.append, 0

    def counted(self: StoredJournal, data: bytes, at: int) -> None:
        nonlocal count
        count += 1
        if count == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, data, at)
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    StoredJournal.append = counted  # type: ignore[method-assign]
    sys.argv = ["hftctl", *words]
    from hftctl.__main__ import main as hftctl

    sys.exit(hftctl())


if __name__ == "__main__":
    main()
