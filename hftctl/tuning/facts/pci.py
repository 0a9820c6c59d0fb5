"""A PCI device: who drives it, and which others its IOMMU group has, since a group goes to one program as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hftctl.errors import UsageError
from hftctl.tuning.facts.model import Facts
from hftctl.tuning.host import Host

DEVICES = "/sys/bus/pci/devices"
ADDRESS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
NO_DRIVER = "(null)"
APART = {"", "vfio-pci", "pci-stub", "pcieport", "shpchp"}  # drivers that leave a group to its program
NO_GROUP = -1


@dataclass(frozen=True)
class Device:
    address: str
    driver: str  # empty: none
    node: int  # -1: the firmware does not say
    group: int  # of the IOMMU; NO_GROUP: it has none
    neighbours: tuple[str, ...]  # others of the group that the kernel drives: "0000:3b:00.1 (ice)"
    card: str  # the interface that the kernel makes of it; empty once somebody else drives it
    carries: str  # why nobody may take it away, or empty
    routed: bool  # some route leads over it


def device(host: Host, facts: Facts, address: str) -> Device:
    place = f"{DEVICES}/{address}"
    group = last(host.link(f"{place}/iommu_group"))
    nic = next((one for one in facts.nics if one.pci == address), None)
    routes = (host.read("/proc/net/route") or "").splitlines()[1:]
    return Device(
        address=address,
        driver=last(host.link(f"{place}/driver")),
        node=host.number(f"{place}/numa_node", -1),
        group=int(group) if group.isdecimal() else NO_GROUP,
        neighbours=tuple(_neighbours(host, group, address)) if group.isdecimal() else (),
        card=nic.name if nic else "",
        carries=nic.carries if nic else "",
        routed=nic is not None and any(line.split()[:1] == [nic.name] for line in routes),
    )


def addresses(host: Host, facts: Facts, given: Sequence[str]) -> tuple[str, ...]:
    """Of cards by name or address. Raises UsageError."""
    by_name = {nic.name: nic.pci for nic in facts.nics if nic.pci}
    found = []
    for one in given:
        address = by_name.get(one, one)
        if not ADDRESS.fullmatch(address) or not host.exists(f"{DEVICES}/{address}"):
            there = ", ".join(f"{name} ({pci})" for name, pci in by_name.items()) or "none on PCI"
            raise UsageError(f"no PCI device is '{one}'; network cards here: {there}")
        found.append(address)
    return tuple(dict.fromkeys(found))


def last(link: str) -> str:
    return link.rstrip("/").rpartition("/")[2]


def _neighbours(host: Host, group: str, address: str) -> Iterator[str]:
    for other in host.names(f"/sys/kernel/iommu_groups/{group}/devices"):
        driver = last(host.link(f"{DEVICES}/{other}/driver"))
        if other != address and driver not in APART:
            yield f"{other} ({driver})"
