"""What the kubelet of a host can give to pods that want CPUs of their own, by its configuration and what the host has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hftctl.tuning import cpu_list
from hftctl.tuning.facts.model import Facts
from hftctl.tuning.pods import PodVerdict, demands, quantity


@dataclass(frozen=True)
class Offer:
    policy: str  # of the CPU manager: static, none
    cpus: int  # for all pods together
    cpus_of_a_node: int  # on the memory node that has most of them
    one_node: bool  # a container's CPUs come from one memory node, or it is not started
    threads: int  # a container gets so many CPUs at once; 1: any number
    pages_bytes: Mapping[str, int]  # huge pages by size: 2Mi, 1Gi


def offer(config: Mapping[str, Any], facts: Facts) -> Offer:
    """`config`: the kubelet's."""
    named = cpu_list.parse(str(config.get("reservedSystemCPUs") or ""))
    free = set(facts.online) - set(named)
    per_node = [len(free & set(node.cpus)) for node in facts.nodes]
    reserved = 0 if named else math.ceil(_reserved(config))
    whole = str(_section(config, "cpuManagerPolicyOptions").get("full-pcpus-only", "")).lower() == "true"
    pages: dict[str, int] = {}
    for node in facts.nodes:
        for kib, held in node.pages.items():
            size = f"{int(kib) >> 20}Gi" if int(kib) >= 1 << 20 else f"{int(kib) >> 10}Mi"
            pages[size] = pages.get(size, 0) + held.total * (int(kib) << 10)
    return Offer(
        policy=str(config.get("cpuManagerPolicy") or "none"),
        cpus=len(free) - reserved,
        cpus_of_a_node=max(per_node, default=len(free)),
        one_node=config.get("topologyManagerPolicy") == "single-numa-node",
        threads=max((len(cpu.siblings) for cpu in facts.cpus if cpu.online), default=1) if whole else 1,
        pages_bytes=pages,
    )


def against(there: Offer, verdict: PodVerdict, pod: Mapping[str, Any]) -> Iterator[str]:
    """Why this node gives the pod no CPUs of its own, or does not start it."""
    if there.policy != "static":
        yield f"the kubelet's cpuManagerPolicy is {there.policy}: no pod gets CPUs of its own (hftctl tune apply kubernetes-node)"
    if verdict.cpus > there.cpus:
        yield f"it asks for {verdict.cpus} CPUs, and pods have {there.cpus} here"
    for one in verdict.verdicts:
        if there.one_node and one.cpus > there.cpus_of_a_node:
            most = f"no memory node has more than {there.cpus_of_a_node}"
            yield f"'{one.container}' asks for {one.cpus} CPUs of one memory node, and {most}: TopologyAffinityError"
        if one.cpus % there.threads:
            said = f"'{one.container}' asks for {one.cpus} CPUs, and whole cores are given, of {there.threads} each"
            yield f"{said} (full-pcpus-only): SMTAlignmentError"
    for size, wanted in demands(pod).items():
        if wanted > there.pages_bytes.get(size, 0):
            have = there.pages_bytes.get(size, 0) >> 20
            yield f"it asks for {int(wanted) >> 20} MiB in huge pages of {size}, and {have} MiB are reserved here"


def _section(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = config.get(key)
    return found if isinstance(found, Mapping) else {}


def _reserved(config: Mapping[str, Any]) -> float:
    """CPUs that kubeReserved and systemReserved keep, where none are named."""
    asked = (_section(config, key).get("cpu", "0") for key in ("kubeReserved", "systemReserved"))
    return float(sum(quantity(str(one)) or 0 for one in asked))
