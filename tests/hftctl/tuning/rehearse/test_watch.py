"""When a guest is given up: by the processor time that it had, since on a busy host it is slow and not stuck."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hftctl.tuning.rehearse import boot

pytestmark = pytest.mark.skipif(
    not shutil.which("timeout") or not Path("/proc/self/stat").exists(), reason="needs timeout and /proc"
)


def watched(folder: Path, program: str, timeout_s: float) -> bool:
    """Whether its time was up."""
    words = ["timeout", "--signal=KILL", "60", sys.executable, "-c", program]
    with subprocess.Popen(words) as process:
        try:
            broken, late = boot._watch(
                process, folder / "console", folder / "said", time.monotonic(), timeout_s, impatient=False
            )
        finally:
            # The program first: without its parent it could not be found any more, and would run for ever.
            subprocess.run(["pkill", "-KILL", "-P", str(process.pid)], check=False)
            process.kill()
    assert not broken
    return late


def test_one_that_works_and_does_not_come_up_is_stuck(tmp_path: Path) -> None:
    assert watched(tmp_path, "while True: pass", 0.2)


def test_one_that_gets_no_processor_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "PATIENCE", 1000)
    assert not watched(tmp_path, "import time; time.sleep(1)", 0.5)


def test_but_not_for_ever(tmp_path: Path) -> None:
    assert watched(tmp_path, "import time; time.sleep(60)", 0.05)
