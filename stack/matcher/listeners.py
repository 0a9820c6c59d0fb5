"""The sockets an engine listens on: handed over by a supervisor, or bound here.

HFTCTL_LISTEN_FDS = {"link": 3, "admin": 4, "orders": 5, "sessions": 6} names sockets that listen already and outlive this process, so that
connections wait in the backlog while an engine restarts. What it does not name is bound here; a Unix socket that a dead
engine left behind is removed first, which is safe because the data folder's lock is held.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from stack.matcher.refusal import StartRefused
from stack.wire.link import is_path

VARIABLE = "HFTCTL_LISTEN_FDS"
BACKLOG = 4096  # as many as a worker of nginx has connections; the kernel takes its somaxconn if that is less


def inherited() -> dict[str, socket.socket]:
    """The sockets handed over, by name. Raises StartRefused."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return {}
    try:
        found = json.loads(text)
        return {str(name): socket.socket(fileno=int(fd)) for name, fd in found.items()}
    except (ValueError, AttributeError, TypeError, OSError) as error:
        raise StartRefused(f"{VARIABLE}={text!r} names no listening sockets: {error}") from None


def bind(address: str, mode: int) -> socket.socket:
    """A listening socket at a path, with this file mode, or at host:port. Raises StartRefused."""
    try:
        if not is_path(address):
            host, _, port = address.rpartition(":")
            return socket.create_server((host, int(port)), backlog=BACKLOG)
        path = Path(address)
        if path.is_socket():
            path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(address)
            path.chmod(mode)  # before listen: nobody gets in under the wrong mode
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
        return listener
    except OSError as error:
        raise StartRefused(f"cannot listen on {address}: {error.strerror or error}") from None
