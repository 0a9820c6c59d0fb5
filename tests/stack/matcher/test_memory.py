"""What hft_mode makes of an engine's memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from stack.settings import EngineSettings
from tests.stack.matcher.engines import IMPLEMENTATIONS, Process
from tests.stack.matcher.test_process import ask_when_up

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


def up(process: Process, settings: EngineSettings, **options: object) -> dict[str, int]:
    """Kilobytes of /proc/PID/status, once the engine serves."""
    process.settings = settings
    process.start(**options)
    ask_when_up(process)
    while not any(line["message"] == "serving" for line in process.log()):
        pass  # its door answers a moment before it says so
    lines = Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    found = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines) if "kB" in value}
    assert process.end() == 0
    return found


@pytest.mark.skipif("cython" not in IMPLEMENTATIONS, reason="the compiled engine is not built")
def test_without_it_tables_take_memory_only_as_they_fill(process: Process, settings: EngineSettings) -> None:
    compiled = replace(settings, implementation="cython", client_ids_max=1 << 20)  # 96 MiB of tables
    large = up(process, replace(compiled, hft_mode=True))
    small = up(process, replace(compiled, hft_mode=False))
    assert large["VmRSS"] - small["VmRSS"] > 90 * 1024
    assert small["VmLck"] == 0


def locked(process: Process) -> list[str]:
    return [line["message"] for line in process.log() if line["message"].startswith("memory is")]


def test_memory_is_locked_or_the_log_says_why_not(process: Process, settings: EngineSettings) -> None:
    found = up(process, replace(settings, hft_mode=True))
    (said,) = locked(process)
    assert (found["VmLck"] > 0) == (said == "memory is locked")


def test_a_limit_on_locked_memory_is_told_and_the_engine_serves(process: Process, settings: EngineSettings) -> None:
    def without_rights() -> None:
        """As an ordinary user: a small limit, and no capability that lifts it."""
        import ctypes

        ctypes.CDLL(None).prctl(24, 14, 0, 0, 0)  # drop CAP_IPC_LOCK from what a program may get
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))

    found = up(process, replace(settings, hft_mode=True), preexec_fn=without_rights)
    assert found["VmLck"] == 0
    (said,) = locked(process)
    assert "it may be paged out: Cannot allocate memory; 65536 bytes are allowed (ulimit -l)" in said
