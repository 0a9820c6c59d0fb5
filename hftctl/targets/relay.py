"""Joins standard input and output to a TCP port, until that end closes. Standard library only: it is run in containers too.

relay.py HOST PORT
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import suppress

CONNECT_S = 5.0
PIECE_BYTES = 1 << 16


def main() -> int:
    host, port = sys.argv[1:]
    try:
        there = socket.create_connection((host, int(port)), CONNECT_S)
    except OSError as error:
        sys.stderr.write(f"cannot connect to {host}:{port}: {error.strerror or error}\n")
        return 1
    there.settimeout(None)
    threading.Thread(target=_send, args=(there,), daemon=True).start()
    with suppress(OSError):
        while piece := there.recv(PIECE_BYTES):
            while piece:
                piece = piece[os.write(1, piece) :]
    return 0


def _send(there: socket.socket) -> None:
    with suppress(OSError):
        while piece := os.read(0, PIECE_BYTES):
            there.sendall(piece)
        there.shutdown(socket.SHUT_WR)  # the answer may still come


if __name__ == "__main__":
    sys.exit(main())
