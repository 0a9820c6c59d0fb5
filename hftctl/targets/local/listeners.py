"""Listening sockets that outlive the process that serves them.

The supervisor binds and holds them, and every start of the component inherits the same ones, so that connections made while
it restarts wait in the backlog. When the supervisor itself was killed, its successor takes a copy of each out of the living
component (pidfd_getfd). Where the kernel forbids that (Yama's ptrace_scope for ordinary users), the successor binds anew at
the component's next start: what waits in the old backlog at that moment is reset, and clients connect again.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

BACKLOG = 4096
PIDFD_GETFD = 438  # the same on every architecture


def bind(path: str) -> socket.socket:
    """A Unix listener at a path relative to the working directory; whatever stood there gives way in one step."""
    name = f"{path}.new" if Path(path).exists() else path
    Path(f"{path}.new").unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(name)
        Path(name).chmod(0o600)
        listener.listen(BACKLOG)
        Path(name).rename(path)
    except BaseException:
        listener.close()
        raise
    return listener


def take(pid: int, fds: Mapping[str, int], wanted: Mapping[str, str]) -> dict[str, socket.socket]:
    """Copies of a living process's listeners, as far as they can be had and really listen at the wanted paths."""
    taken: dict[str, socket.socket] = {}
    if sys.platform != "linux":
        return taken
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.pidfd_open(pid)
    try:
        for name, path in wanted.items():
            if name not in fds:
                continue
            copy = libc.syscall(PIDFD_GETFD, handle, fds[name], 0)
            if copy < 0:
                continue
            candidate = socket.socket(fileno=copy)
            if _listens(candidate) and candidate.getsockname() in {path, f"{path}.new"}:
                taken[name] = candidate
            else:
                candidate.close()
    finally:
        os.close(handle)
    return taken


def _listens(candidate: socket.socket) -> bool:
    try:
        return bool(candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False
