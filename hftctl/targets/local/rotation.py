"""Logs are bounded, and no line is lost for it.

A `.log` over the limit is renamed, the newest few are kept: our services and Valkey see the rename by themselves, nginx is
told by signal. A `.out` is the standard output of a component (PostgreSQL's log; of the others what they say before their log
is open, or when they die), and nobody can open that anew in a running process. So it is renamed when a new process
starts; of one that grows meanwhile the beginning is given back to the disk, as a hole in the file: what is written next
still goes to its end, whoever writes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from hftctl.targets.local.process import Process, Record

CHECK_S = 30.0
ROTATE_BYTES = 32 << 20
KEPT = 4
PUNCH_HOLE = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
LINE_SEARCH_BYTES = 1 << 16


def rotate(logs: Path, process: Process, record: Record | None, limit: int = ROTATE_BYTES) -> list[str]:
    """Returns the names of the files it made smaller."""
    out = logs / f"{process.component}.out"
    trimmed = [out.name] if trim(out, limit * (KEPT + 1), limit * KEPT) else []
    renamed = [name for name in process.logs if _size(logs / name) > limit]
    for name in renamed:
        shift(logs / name)
    unopened = [name for name in process.logs if not (logs / name).exists() and (logs / f"{name}.1").exists()]
    if unopened and process.reopen and record is not None and record.alive:
        os.kill(record.identity.pid, getattr(signal, process.reopen))
    return trimmed + renamed


def rotate_output(logs: Path, component: str, limit: int = ROTATE_BYTES) -> None:
    """Between two processes of a component."""
    out = logs / f"{component}.out"
    if _size(out) > limit:
        shift(out)


def shift(path: Path) -> None:
    for number in range(KEPT - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))


def trim(path: Path, limit: int, kept: int) -> bool:
    """Give the disk back what stands before the last `kept` bytes, when more than `limit` take room. At a line's end."""
    if sys.platform != "linux" or _room(path) <= limit:
        return False
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        end = os.fstat(handle).st_size - kept
        if end <= 0:
            return False
        line_end = os.pread(handle, LINE_SEARCH_BYTES, end).find(b"\n")
        return _punch(handle, end + line_end + 1)
    finally:
        os.close(handle)


def _punch(handle: int, length: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.fallocate(handle, PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(length))
    return bool(done == 0)  # a file system without holes keeps it whole until the component's next start


def _room(path: Path) -> int:
    """What it takes on the disk: a hole takes nothing."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
