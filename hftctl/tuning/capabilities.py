"""What a host can carry: DPDK, AF_XDP, NUMA, SIMD. Looked at, never promised: a stack that needs one is told what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hftctl.tuning.facts.model import Facts, Nic
from hftctl.tuning.facts.pci import NO_GROUP, device
from hftctl.tuning.host import Host

BESIDE_THE_KERNEL = {
    "mlx4_core",
    "mlx5_core",
    "vfio-pci",
}  # drivers whose cards a program uses while the kernel has them, too
WITHOUT_COPY = {
    "fsl_dpaa2_eth",
    "gve",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "mlx5_core",
    "nfp",
    "tsnep",
    "virtio_net",
}  # AF_XDP's zero-copy mode
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
    if not any(held.total for node in facts.nodes for held in node.pages.values()):
        missing.append("no huge pages are reserved: hftctl tune apply")
    if "hugetlbfs" not in (host.read("/proc/mounts") or ""):
        missing.append("no hugetlbfs is mounted")
    if spare := _spare(facts, missing):
        missing += _handed_over(host, facts, spare)
    return missing


def _handed_over(host: Host, facts: Facts, spare: Sequence[Nic]) -> Iterator[str]:
    """What keeps every card to spare from being given to a program; nothing where one is, or can be."""
    if any(nic.driver in BESIDE_THE_KERNEL for nic in spare):
        return
    if not facts.iommu_groups:
        yield "no IOMMU groups: intel_iommu=on (AMD: iommu=pt) and the firmware's switch for it"
    if not _has_module(host, facts, "vfio-pci"):
        yield "no vfio-pci, neither built in nor as a module"
    cards = [device(host, facts, nic.pci) for nic in spare if nic.pci]
    if facts.iommu_groups and not any(card.group != NO_GROUP and not card.neighbours for card in cards):
        shared = "; ".join(
            f"{card.card} shares its group with {', '.join(card.neighbours)}" for card in cards if card.neighbours
        )
        yield f"no card to spare has an IOMMU group of its own{f': {shared}' if shared else ''}"


def _af_xdp(facts: Facts) -> list[str]:
    missing = [
        f"this kernel is built without {name}"
        for name in ("XDP_SOCKETS", "BPF_SYSCALL")
        if facts.kernel.config.get(name, "y") != "y"
    ]
    if facts.kernel.lockdown == "confidentiality":
        missing.append("the kernel's lockdown keeps programs of BPF from reading packets")
    if (spare := _spare(facts, missing)) and not any(nic.driver in WITHOUT_COPY for nic in spare):
        drivers = ", ".join(sorted({f"{nic.name}: {nic.driver or 'none'}" for nic in spare}))
        missing.append(f"no driver of a card to spare hands packets over without a copy ({drivers})")
    return missing


def _spare(facts: Facts, missing: list[str]) -> list[Nic]:
    """Cards that may be taken; that there are none is missing."""
    spare = [nic for nic in facts.nics if not nic.carries]
    if not facts.nics:
        missing.append("no network card")
    elif not spare:
        missing.append(f"no card to spare: {', '.join(f'{nic.name} carries the {nic.carries}' for nic in facts.nics)}")
    return spare


def _has_module(host: Host, facts: Facts, name: str) -> bool:
    folder = f"/lib/modules/{facts.kernel.release}"
    if host.exists(f"/sys/bus/pci/drivers/{name}"):
        return True
    listed = f"{host.read(f'{folder}/modules.builtin') or ''}\n{host.read(f'{folder}/modules.dep') or ''}"
    return re.search(rf"/{re.escape(name)}\.ko", listed) is not None
