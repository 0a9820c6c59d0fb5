"""Ports for servers of tests."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress


def free_ports(count: int) -> list[int]:
    """Free on loopback a moment ago, and different: all are held until the last is known."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def free_neighbours(count: int) -> int:
    """The first of so many ports in a row, each free on loopback a moment ago."""
    while True:
        (first,) = free_ports(1)
        with ExitStack() as held, suppress(OSError, OverflowError):
            for port in range(first, first + count):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
