"""Ports that tests take for their servers."""

from pathlib import Path

import pytest

from tests.ports import free_neighbours, free_ports

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_ports_are_different_and_none_that_a_connection_may_begin_at():
    ports = free_ports(50)
    assert len(set(ports)) == 50
    if not RANGE.exists():
        pytest.skip("this system does not say which ports connections begin at")
    lowest = int(RANGE.read_text().split()[0])
    assert all(port < lowest for port in ports) or lowest < 20_480


def test_neighbours_are_all_free():
    assert free_neighbours(3) > 1024
