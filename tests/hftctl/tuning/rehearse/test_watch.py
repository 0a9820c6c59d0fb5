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
    places = [folder / name for name in ("console", "report", "said")]
    with subprocess.Popen(words) as process:
        try:
            broken, late = boot._watch(process, *places, time.monotonic(), timeout_s, impatient=False)
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


@pytest.mark.parametrize(
    ("console", "report", "spoke"),
    [
        ("", "", False),
        ("Probing EDD (edd=off to disable)... ok", "", False),
        ("Probing EDD (edd=off to disable)... ok\r\n[    0.000000] Linux version 6.1.0\r\n", "", True),
        ("", "@at 12\n", True),
    ],
)
def test_a_kernel_is_told_from_its_loader(tmp_path: Path, console: str, report: str, spoke: bool) -> None:
    places = tmp_path / "console", tmp_path / "report"
    for place, text in zip(places, (console, report), strict=True):
        place.write_text(text)
    assert boot._spoke(*places) is spoke
