"""The lock of a deployment: flock on a file, so it ends with its holder, however that ends. The file says who holds it."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hftctl.errors import LockHeld
from hftctl.paths import Layout, make_folder

POLL_S = 0.1


@contextmanager
def lock(layout: Layout, why: str, *, wait_s: float, shared: bool = False) -> Iterator[None]:
    handle = _take(layout, wait_s, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    try:
        record = json.dumps({"who": _who(), "pid": os.getpid(), "since": time.time(), "why": why}).encode()
        os.ftruncate(handle, 0)
        os.pwrite(handle, record, 0)
        yield
    finally:
        os.close(handle)


def _take(layout: Layout, wait_s: float, kind: int) -> int:
    deadline = time.monotonic() + wait_s
    while True:
        if not layout.root.exists():
            make_folder(layout.root, mode=0o700)
        handle = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            if _still_there(handle, layout):
                return handle
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = _holder(handle)
                os.close(handle)
                raise LockHeld(
                    f"cannot lock '{layout.name}': {holder}", hint="wait for it with --lock-wait SECONDS"
                ) from None
            time.sleep(POLL_S)  # flock has no timeout; an alarm for one would reach the whole program
        os.close(handle)


def _still_there(handle: int, layout: Layout) -> bool:
    """A destroy removes the file: a lock on what is not there any more holds nobody off."""
    try:
        return layout.lock.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _holder(handle: int) -> str:
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
        since = time.strftime("%H:%M:%S", time.localtime(holder["since"]))
        return f"lock held by {holder['who']} (pid {holder['pid']}) since {since}, {holder['why']}"
    except (ValueError, KeyError, TypeError):
        return "somebody has just taken the lock"


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid{os.geteuid()}"
    return f"{user}@{socket.gethostname()}"
