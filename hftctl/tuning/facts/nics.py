"""Network cards: where they sit, which interrupts are theirs, and which of them keep us connected."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Mapping

from hftctl.tuning.facts.model import Nic
from hftctl.tuning.host import Host

NETS = "/sys/class/net"


def nics(host: Host, interrupts: Mapping[str, str]) -> tuple[Nic, ...]:
    """Those with a device behind them; bridges, tunnels and the loopback have none."""
    routes = _routes(host)
    default = {name for name, destination, _ in routes if destination == 0}
    ssh = _ssh_peer(host)
    over_ssh = _route_to(ssh, routes) if ssh else ""
    found = []
    for name in host.names(NETS):
        uevent = host.read(f"{NETS}/{name}/device/uevent")
        if uevent is None:
            continue
        keys = dict(re.findall(r"^(\w+)=(.*)$", uevent, re.MULTILINE))
        carries = "default route" if name in default else f"ssh from {ssh}" if name == over_ssh else ""
        found.append(
            Nic(
                name=name,
                driver=keys.get("DRIVER", ""),
                pci=keys.get("PCI_SLOT_NAME", ""),
                node=host.number(f"{NETS}/{name}/device/numa_node", -1),
                receive_queues=len(host.names(f"{NETS}/{name}/queues", "rx-*")),
                transmit_queues=len(host.names(f"{NETS}/{name}/queues", "tx-*")),
                up=host.read(f"{NETS}/{name}/operstate") == "up",
                speed_mbps=max(host.number(f"{NETS}/{name}/speed"), 0),
                interrupts=_interrupts(host, name, keys, interrupts),
                carries=carries,
            )
        )
    return tuple(found)


def _interrupts(host: Host, name: str, keys: Mapping[str, str], all_of_them: Mapping[str, str]) -> tuple[int, ...]:
    """A virtio card's interrupts belong to the PCI device it hangs on."""
    for place in ("device/msi_irqs", "device/../msi_irqs"):
        if numbers := [int(one) for one in host.names(f"{NETS}/{name}/{place}") if one.isdecimal()]:
            return tuple(numbers)
    marks = [mark for mark in (name, keys.get("PCI_SLOT_NAME", "")) if mark]
    words = {number: re.split(r"[-@:,\s]", what) + what.split("pci:") for number, what in all_of_them.items()}
    return tuple(int(number) for number, parts in words.items() if any(mark in parts for mark in marks))


def _routes(host: Host) -> list[tuple[str, int, int]]:
    """Interface, destination and mask (as numbers in network order) of each IPv4 route; default ones over IPv6 too."""
    found = []
    for line in (host.read("/proc/net/route") or "").splitlines()[1:]:
        words = line.split()
        if len(words) > 7:
            found.append((words[0], _swapped(words[1]), _swapped(words[7])))
    for line in (host.read("/proc/net/ipv6_route") or "").splitlines():
        words = line.split()
        if len(words) > 9 and words[0] == "0" * 32 and words[1] == "00" and words[9] != "lo":
            found.append((words[9], 0, 0))
    return found


def _swapped(text: str) -> int:
    return int(struct.unpack("<I", struct.pack(">I", int(text, 16)))[0])


def _ssh_peer(host: Host) -> str:
    """Who we are typed by; an ssh session of this machine says nothing about a captured tree."""
    return os.environ.get("SSH_CONNECTION", "").partition(" ")[0] if host.live else ""


def _route_to(address: str, routes: list[tuple[str, int, int]]) -> str:
    try:
        peer = struct.unpack(">I", socket.inet_aton(address))[0]
    except OSError:
        return ""  # over IPv6: its card is the one of the default route in all but strange networks
    fitting = [(mask, name) for name, destination, mask in routes if peer & mask == destination]
    return max(fitting)[1] if fitting else ""
