"""Starting one process of a component, and making sure that nothing of it is left when it has ended."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hftctl.targets.local.identity import members
from hftctl.targets.local.process import (
    COMPONENT_VARIABLE,
    DIGEST_VARIABLE,
    LISTEN_VARIABLE,
    READY_VARIABLE,
    Process,
    marker,
)
from hftctl.targets.local.rotation import rotate_output

KILL_WAIT_S = 10.0
UNWRITTEN = 120  # Python's own, where its last flush failed


@dataclass(eq=False)
class Running:
    """A process that runs. `popen` is None when an earlier supervisor started it."""

    process: Process
    pid: int
    pidfd: int
    popen: subprocess.Popen[bytes] | None
    on_end: Callable[[Running], None]  # of whoever looks after it now

    def reap(self) -> int | None:
        """After its pidfd said that it ended: its exit status, as far as it is ours to know. Ends what it left behind."""
        os.close(self.pidfd)
        # Before it is reaped its pid cannot be used again, so the group we end is its own.
        end_leftovers(self.pid, self.process)
        return self.popen.wait() if self.popen else None


def launch(root: Path, process: Process, fds: Mapping[str, int], ready_fd: int = -1) -> Running:
    """Raises OSError. `ready_fd`: where it writes a byte when it can take over from the one that runs."""
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",  # log times of programs that know no other way
        **process.env,
        COMPONENT_VARIABLE: marker(root, process.component),
        DIGEST_VARIABLE: process.digest,
        LISTEN_VARIABLE: json.dumps(fds),
    }
    if process.listen_as:
        env[process.listen_as] = "".join(f"{fd};" for fd in fds.values())
    if ready_fd >= 0:
        env[READY_VARIABLE] = str(ready_fd)
    passed = (*fds.values(), *((ready_fd,) if ready_fd >= 0 else ()))
    rotate_output(root / "logs", process.component)
    # A file and not a pipe: the component goes on when we are killed.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    out = os.open(root / "logs" / f"{process.component}.out", flags, 0o600)
    try:
        popen = subprocess.Popen(
            process.argv, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            pass_fds=passed,
        )  # fmt: skip
    finally:
        os.close(out)
    try:
        pidfd = os.pidfd_open(popen.pid)
    except OSError:
        popen.kill()  # without a handle nobody would hear of its end
        popen.wait()
        raise
    return Running(process, popen.pid, pidfd, popen, _nobody)


def _nobody(running: Running) -> None:
    raise AssertionError(f"nobody looks after pid {running.pid}")


def end_leftovers(session: int, process: Process) -> None:
    """nginx's workers outlive a killed master and keep the port; PostgreSQL's keep the shared memory."""
    deadline = time.monotonic() + KILL_WAIT_S
    while (left := left_of(session, process)) and time.monotonic() < deadline:
        for pid in left:
            kill(pid)
        for pid in left:
            _await_end(pid)


def left_of(session: int, process: Process) -> list[int]:
    folder = Path(process.folder).resolve() if process.folder else None
    return members(session, Path.cwd(), folder, process.program)


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it went first


def _await_end(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([handle], [], [], KILL_WAIT_S)
    finally:
        os.close(handle)


def exit_text(code: int | None) -> str:
    if code is None:
        return "ended; its exit status went to another parent"
    if code < 0:
        return f"signal {-code} ({signal.Signals(-code).name})"
    if code == UNWRITTEN:
        return f"exit status {code}: it could not write its last words, as on a full disk"
    return f"exit status {code}"
