"""CPUs, their cores and nodes, and the memory of each node."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hftctl.tuning import cpu_list
from hftctl.tuning.facts.model import Cpu, Node, Pages
from hftctl.tuning.host import Host

CPUS = "/sys/devices/system/cpu"
NODES = "/sys/devices/system/node"
VENDORS = {"GenuineIntel": "intel", "AuthenticAMD": "amd"}


def cpus(host: Host) -> tuple[Cpu, ...]:
    online = cpu_list.parse(host.read(f"{CPUS}/online") or "")
    present = cpu_list.parse(host.read(f"{CPUS}/present") or "") or online
    node_of = {cpu: node for node in node_numbers(host) for cpu in _cpus_of(host, node)}
    found = []
    for number in present:
        place = f"{CPUS}/cpu{number}/topology"
        siblings = host.read(f"{place}/core_cpus_list") or host.read(f"{place}/thread_siblings_list") or str(number)
        found.append(
            Cpu(
                number,
                number in online,
                max(host.number(f"{place}/physical_package_id"), 0),
                host.number(f"{place}/core_id", number),
                node_of.get(number, 0),
                cpu_list.parse(siblings),
            )
        )
    return tuple(found)


def throttled(host: Host, known: Sequence[Cpu]) -> int:
    """Times since the start that the hottest package had to slow down."""
    first = {cpu.package: cpu.number for cpu in reversed(known)}
    counts = [host.number(f"{CPUS}/cpu{cpu}/thermal_throttle/package_throttle_count") for cpu in first.values()]
    return max(counts, default=0)


def smt(host: Host) -> str:
    return host.read(f"{CPUS}/smt/control") or "notsupported"


def node_numbers(host: Host) -> list[int]:
    return [int(name[4:]) for name in host.names(NODES, "node[0-9]*")]


def nodes(host: Host) -> tuple[Node, ...]:
    """One made up for machines whose kernel knows none."""
    numbers = node_numbers(host)
    if not numbers:
        memory = meminfo(host.read("/proc/meminfo") or "")
        online = cpu_list.parse(host.read(f"{CPUS}/online") or "")
        return (
            Node(0, online, memory.get("MemTotal", 0), memory.get("MemAvailable", 0), pages(host, "/sys/kernel/mm")),
        )
    return tuple(_node(host, number) for number in numbers)


def _node(host: Host, number: int) -> Node:
    memory = meminfo(host.read(f"{NODES}/node{number}/meminfo") or "")
    clean = memory.get("Inactive(file)", 0) + memory.get("Active(file)", 0) - memory.get("Dirty", 0)
    free = memory.get("MemFree", 0) + max(clean, 0)
    return Node(number, _cpus_of(host, number), memory.get("MemTotal", 0), free, pages(host, f"{NODES}/node{number}"))


def _cpus_of(host: Host, node: int) -> tuple[int, ...]:
    return cpu_list.parse(host.read(f"{NODES}/node{node}/cpulist") or "")


def pages(host: Host, place: str) -> dict[str, Pages]:
    """Huge pages by size in KiB, of a node or of the whole machine."""
    found = {}
    for name in host.names(f"{place}/hugepages", "hugepages-*kB"):
        counts = f"{place}/hugepages/{name}"
        total, free = host.number(f"{counts}/nr_hugepages"), host.number(f"{counts}/free_hugepages")
        found[name[len("hugepages-") : -2]] = Pages(total, free)
    return found


def meminfo(text: str) -> dict[str, int]:
    """Bytes by name, of /proc/meminfo and of a node's."""
    lines = re.findall(r"^(?:Node \d+ )?([\w()]+):\s+(\d+) kB$", text, re.MULTILINE)
    return {name: int(value) * 1024 for name, value in lines}


def model(host: Host) -> tuple[str, str, tuple[str, ...]]:
    """Vendor, model and flags of the first CPU."""
    text = (host.read("/proc/cpuinfo") or "").partition("\n\n")[0]
    lines = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    vendor = VENDORS.get(lines.get("vendor_id", ""), "arm" if "CPU implementer" in lines else "other")
    flags = lines.get("flags") or lines.get("Features") or ""
    return vendor, lines.get("model name", ""), tuple(sorted(flags.split()))
