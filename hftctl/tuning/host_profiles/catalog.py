"""Every host profile by name, and which one fits a host."""

from __future__ import annotations

from hftctl.tuning.facts.model import Facts
from hftctl.tuning.host_profiles.latency import EXTREME, LATENCY
from hftctl.tuning.host_profiles.model import HostProfile
from hftctl.tuning.host_profiles.others import KUBERNETES_NODE, THROUGHPUT, VIRTUAL_MACHINE
from hftctl.tuning.naming import unknown

PROFILES = {one.name: one for one in (LATENCY, EXTREME, THROUGHPUT, VIRTUAL_MACHINE, KUBERNETES_NODE)}


def named(name: str) -> HostProfile:
    if name not in PROFILES:
        raise unknown("no host profile is named", name, PROFILES)
    return PROFILES[name]


def fitting(facts: Facts) -> HostProfile:
    """The one for a host that nobody said more about."""
    if "kubelet" in facts.surroundings.services:
        return KUBERNETES_NODE
    return VIRTUAL_MACHINE if facts.surroundings.virtualisation else LATENCY
