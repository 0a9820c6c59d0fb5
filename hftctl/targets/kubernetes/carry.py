"""Joins standard input and output to a port of a pod: `python -m hftctl.targets.kubernetes.carry NAMESPACE POD PORT`."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

from hftctl.errors import HftctlError
from hftctl.targets.kubernetes import cluster, tunnel

PIECE_BYTES = 1 << 16


def main() -> int:
    namespace, pod, port = sys.argv[1:]
    try:
        there = tunnel.connect(cluster.connect()[0], namespace, pod, int(port))
    except HftctlError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1

    def send() -> None:
        with suppress(OSError):
            while piece := os.read(0, PIECE_BYTES):
                there.sendall(piece)

    threading.Thread(target=send, daemon=True).start()
    with suppress(OSError):
        while piece := there.recv(PIECE_BYTES):
            while piece:
                piece = piece[os.write(1, piece) :]
    return 0


if __name__ == "__main__":
    sys.exit(main())
