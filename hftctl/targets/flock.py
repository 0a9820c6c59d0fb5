"""A lock that dies with its holder: `flock` on a file, with a record inside of who holds it, since when and why.

The kernel lets it go when the last process that inherited the open file ends. Ours is closed on exec; whoever forks
without exec while holding it keeps it held, and must not.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hftctl.errors import LockHeld
from hftctl.paths import make_folder

POLL_S = 0.05
RECORD_BYTES_MAX = 4096


@contextmanager
def hold(path: Path, *, deployment: str, holder: str, why: str, wait_s: float, shared: bool = False) -> Iterator[None]:
    """Hold the lock for the time of the context. Raises LockHeld naming the holder after `wait_s`."""
    handle = _acquire(path, deployment, why, wait_s, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    try:
        record = {"holder": holder, "pid": os.getpid(), "since_ns": time.time_ns(), "why": why, "shared": shared}
        with suppress(OSError):  # nor from taking it: the lock is the kernel's, the record only says whose
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(record).encode(), 0)
        yield
    finally:
        with suppress(OSError):  # a full disk must not keep us from letting go
            os.ftruncate(handle, 0)
        os.close(handle)


def holder(path: Path) -> str:
    """Who holds it exclusively now, since when and why; empty when nobody does. Asks the kernel without taking it."""
    try:
        inode, record = path.stat().st_ino, path.read_bytes()[:RECORD_BYTES_MAX]
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ""
    held = any(words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode) for words in map(str.split, locks))
    return _described(record) if held else ""


def _acquire(path: Path, deployment: str, why: str, wait_s: float, kind: int) -> int:
    deadline = time.monotonic() + wait_s
    while True:
        if not path.parent.is_dir():
            make_folder(path.parent, mode=0o700)  # one that is there keeps its mode: it may hold secrets
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            if _still_there(handle, path):
                return handle
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(handle)
                raise
            if time.monotonic() >= deadline:
                record = os.pread(handle, RECORD_BYTES_MAX, 0)
                os.close(handle)
                raise LockHeld(
                    f"cannot lock '{deployment}' for {why!r}: lock held by {_described(record)}",
                    hint="it is free as soon as that ends; wait for it with --lock-wait 60s",
                ) from None
            time.sleep(POLL_S)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _still_there(handle: int, path: Path) -> bool:
    """A destroy removes the file while it holds it; a lock on a file that has no name any more excludes nobody."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _described(record: bytes) -> str:
    try:
        read = json.loads(record)
        since_s = read["since_ns"] / 1e9
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(since_s))
        return f"{read['holder']} (pid {read['pid']}) since {at} UTC, {time.time() - since_s:.0f} s ago ({read['why']})"
    except (ValueError, KeyError, TypeError):
        return "somebody who has not said who (it was taken a moment ago)"
