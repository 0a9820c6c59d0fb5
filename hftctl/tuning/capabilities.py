"""What a host can carry: DPDK, AF_XDP, NUMA, SIMD. Looked at, never promised: a stack that needs one is told what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hftctl.tuning.facts.model import Facts
from hftctl.tuning.host import Host

SIMD = {"sse4.2": "sse4_2", "avx2": "avx2", "avx512": "avx512f", "neon": "asimd"}


@dataclass(frozen=True)
class Capability:
    name: str  # dpdk, af-xdp, numa, avx2, ...
    ready: bool
    missing: tuple[str, ...] = ()  # sentences


def capabilities(host: Host, facts: Facts) -> Iterator[Capability]:
    yield _capability("dpdk", _dpdk(host, facts))
    yield _capability("af-xdp", _af_xdp(facts))
    nodes = [node for node in facts.nodes if node.cpus]
    yield _capability("numa", [] if len(nodes) > 1 else ["this host has one memory node: there is nothing to place"])
    for name, flag in SIMD.items():
        yield _capability(name, [] if flag in facts.flags else [f"this processor has no {name}"])


def _capability(name: str, missing: list[str]) -> Capability:
    return Capability(name, not missing, tuple(missing))


def _dpdk(host: Host, facts: Facts) -> list[str]:
    missing = []
    if not facts.iommu_groups:
        missing.append("no IOMMU groups: intel_iommu=on (AMD: iommu=pt) and the firmware's switch for it")
    if not _has_module(host, facts, "vfio-pci"):
        missing.append("no vfio-pci, neither built in nor as a module")
    if not any(held.total for node in facts.nodes for held in node.pages.values()):
        missing.append("no huge pages are reserved: hftctl tune apply")
    if "hugetlbfs" not in (host.read("/proc/mounts") or ""):
        missing.append("no hugetlbfs is mounted")
    if facts.nics and all(nic.carries for nic in facts.nics):
        missing.append(f"no card to spare: {', '.join(f'{nic.name} carries the {nic.carries}' for nic in facts.nics)}")
    return missing


def _af_xdp(facts: Facts) -> list[str]:
    missing = []
    if facts.kernel.config.get("XDP_SOCKETS", "y") != "y":
        missing.append("this kernel is built without XDP_SOCKETS")
    if not facts.nics:
        missing.append("no network card")
    return missing


def _has_module(host: Host, facts: Facts, name: str) -> bool:
    folder = f"/lib/modules/{facts.kernel.release}"
    if host.exists(f"/sys/bus/pci/drivers/{name}"):
        return True
    listed = f"{host.read(f'{folder}/modules.builtin') or ''}\n{host.read(f'{folder}/modules.dep') or ''}"
    return re.search(rf"/{re.escape(name)}\.ko", listed) is not None
