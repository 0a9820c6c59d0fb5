"""A Unix socket of this process whose connections are carried elsewhere: to an engine behind ssh, into a container's network."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

BACKLOG = 64


class Piped:
    """It is there until this object is gone, or the process. `carry` gets each connection in a thread of its own, and closes it."""

    def __init__(self, name: str, carry: Callable[[socket.socket], None]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hftctl-"))  # ours alone: what is carried may be a password's way
        self.path = self.folder / name
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self.path))
        listener.listen(BACKLOG)
        weakref.finalize(self, _close, listener, self.folder)
        threading.Thread(target=_serve, args=(listener, carry), daemon=True, name=f"hftctl-{name}").start()


def _serve(listener: socket.socket, carry: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=carry, args=(client,), daemon=True).start()


def _close(listener: socket.socket, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # macOS: a listener is not connected
    finally:
        listener.close()
