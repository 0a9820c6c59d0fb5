"""All facts of a host, in one reading. Never writes."""

from __future__ import annotations

import platform
from collections.abc import Collection
from dataclasses import replace

from hftctl.tuning.facts.boot import boot
from hftctl.tuning.facts.kernel import interrupts, kernel
from hftctl.tuning.facts.model import Facts
from hftctl.tuning.facts.nics import nics
from hftctl.tuning.facts.surroundings import surroundings
from hftctl.tuning.facts.topology import cpus, meminfo, model, nodes, smt, throttled
from hftctl.tuning.host import Host


def gather(host: Host) -> Facts:
    vendor, name, flags = model(host)
    found = cpus(host)
    memory = meminfo(host.read("/proc/meminfo") or "")
    lines = interrupts(host)
    sizes = sorted(int(one[len("hugepages-") : -2]) for one in host.names("/sys/kernel/mm/hugepages", "hugepages-*kB"))
    return Facts(
        host_name=host.read("/proc/sys/kernel/hostname") or (platform.node() if host.live else ""),
        vendor=vendor,
        model=name,
        flags=flags,
        cpus=found,
        smt=smt(host),
        nodes=nodes(host),
        memory_bytes=memory.get("MemTotal", 0),
        available_bytes=memory.get("MemAvailable", 0),
        swap_bytes=memory.get("SwapTotal", 0),
        page_sizes_kib=tuple(sizes),
        nics=nics(host, lines),
        kernel=kernel(host),
        surroundings=surroundings(host),
        boot=boot(host),
        iommu_groups=len(host.names("/sys/kernel/iommu_groups")),
        throttled=throttled(host, found),
        interrupts=lines,
    )


def without(facts: Facts, addresses: Collection[str]) -> Facts:
    """As if cards at those PCI addresses were not there: the kernel does not drive them any more, or soon will not."""
    gone = {str(number) for nic in facts.nics if nic.pci in addresses for number in nic.interrupts}
    return replace(
        facts,
        nics=tuple(nic for nic in facts.nics if nic.pci not in addresses),
        interrupts={number: what for number, what in facts.interrupts.items() if number not in gone},
    )
