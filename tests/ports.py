"""Ports for servers of tests."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

_FROM = 10_240
_CLIENTS_FROM = 32_768  # where a system does not say which ports connections begin at
_CHANCE = random.SystemRandom()  # two test processes of one seed must not draw alike


def free_ports(count: int) -> list[int]:
    """Free on loopback a moment ago, and different: all are held until the last is known.

    None that the system gives to whoever connects somewhere: it might do so before the server is there.
    """
    with ExitStack() as held:
        return [_held_until(held) for _ in range(count)]


def free_neighbours(count: int) -> int:
    """The first of so many ports in a row, each free on loopback a moment ago."""
    while True:
        (first,) = free_ports(1)
        with ExitStack() as held, suppress(OSError, OverflowError):
            for port in range(first, first + count):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


def _held_until(held: ExitStack) -> int:
    while True:
        port = _CHANCE.randrange(_FROM, _clients_from())
        with suppress(OSError):
            held.enter_context(socket.create_server(("127.0.0.1", port)))
            return port


def _clients_from() -> int:
    """The lowest port that a connection may begin at."""
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except FileNotFoundError:
        return _CLIENTS_FROM
    return lowest if lowest > 2 * _FROM else 1 << 16  # a system that gives nearly all of them away
