"""Connections to Unix sockets, whatever the length of their path."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path


def connect(path: Path, timeout_s: float) -> socket.socket:
    """Through a handle of the folder where that works: an address holds 107 bytes, a home folder may take more."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        if sys.platform != "linux":
            connection.connect(str(path))
            return connection
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    except BaseException:
        connection.close()
        raise
    return connection
