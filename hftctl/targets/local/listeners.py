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


def bind(address: str) -> socket.socket:
    """A listener at host:port, or at a path relative to the working directory, where whatever stood gives way in one step."""
    if is_tcp(address):
        host, port = host_and_port(address)
        try:
            return socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
        except OSError as error:  # its own text repeats the address in Python's way
            raise OSError(error.errno, os.strerror(error.errno or 0), address) from None
    name = f"{address}.new" if Path(address).exists() else address
    Path(f"{address}.new").unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(name)
        Path(name).chmod(0o600)
        listener.listen(BACKLOG)
        Path(name).rename(address)
    except BaseException:
        listener.close()
        raise
    return listener


def is_tcp(address: str) -> bool:
    """Whether an address is host:port; else it is the path of a Unix socket."""
    return address.rpartition(":")[2].isdigit()


def host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def stands_at(listener: socket.socket, address: str) -> bool:
    """Whether it listens there: a release may have moved it."""
    if is_tcp(address):
        return listener.family != socket.AF_UNIX and listener.getsockname()[:2] == host_and_port(address)
    return listener.family == socket.AF_UNIX and listener.getsockname() in {address, f"{address}.new"}


def forget(listener: socket.socket | None, address: str) -> None:
    """Close it for good."""
    if listener is not None:
        listener.close()
    if not is_tcp(address):
        Path(address).unlink(missing_ok=True)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def take(pid: int, fds: Mapping[str, int], wanted: Mapping[str, str]) -> dict[str, socket.socket]:
    """Copies of a living process's listeners, as far as they can be had and really listen at the wanted paths."""
    taken: dict[str, socket.socket] = {}
    if sys.platform != "linux":
        return taken
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.pidfd_open(pid)
    try:
        for name, address in wanted.items():
            if name not in fds:
                continue
            copy = libc.syscall(PIDFD_GETFD, handle, fds[name], 0)
            if copy < 0:
                continue
            candidate = socket.socket(fileno=copy)
            if _listens(candidate) and stands_at(candidate, address):
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
