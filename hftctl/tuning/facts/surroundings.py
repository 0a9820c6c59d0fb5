"""What a host stands in: bare metal, a virtual machine, a container, WSL; its distribution, and who else tunes it."""

from __future__ import annotations

import os
import re

from hftctl.tuning.facts.model import Surroundings
from hftctl.tuning.host import Host

WATCHED = (
    "tuned", "power-profiles-daemon", "tlp", "cpupower", "auto-cpufreq", "thermald", "irqbalance", "ksmtuned", "kubelet",
    "k3s", "containerd", "crio", "docker",
)  # fmt: skip
SLICES = ("/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/systemd/system.slice", "/sys/fs/cgroup/unified/system.slice")
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"  # the last byte
ALL_USERS = ["0", "0", "4294967295"]  # of the first user namespace
FIRST_PIDS = "pid:[4026531836]"  # the kernel's own number for the first namespace
HYPERVISORS = {
    "kvm": "kvm", "qemu": "kvm", "amazon ec2": "kvm", "google": "kvm", "vmware": "vmware", "microsoft": "hyper-v",
    "xen": "xen", "virtualbox": "virtualbox",
}  # fmt: skip


def surroundings(host: Host) -> Surroundings:
    release = _os_release(host)
    like = tuple(release.get("ID_LIKE", "").split())
    return Surroundings(
        platform=host.platform,
        system=release.get("ID", ""),
        version=release.get("VERSION_ID", ""),
        like=like,
        virtualisation=_virtualisation(host),
        container=_container(host),
        wsl="microsoft" in (host.read("/proc/sys/kernel/osrelease") or "").lower(),
        services=tuple(name for name in WATCHED if running(host, f"{name}.service")),
        pods=len(host.names("/var/lib/kubelet/pods")),
        battery=bool(host.names("/sys/class/power_supply", "BAT*")),
        secure_boot=(host.read_bytes(SECURE_BOOT) or b"\0")[-1] == 1,
        init=host.read("/proc/1/comm") or "",
    )


def running(host: Host, unit: str) -> bool:
    """Whether a unit of systemd has processes: its control group says so without asking systemd."""
    return any(host.read(f"{place}/{unit}/cgroup.procs") for place in SLICES)


def _os_release(host: Host) -> dict[str, str]:
    text = host.read("/etc/os-release") or host.read("/usr/lib/os-release") or ""
    return dict(re.findall(r'^(\w+)="?(.*?)"?$', text, re.MULTILINE))


def _virtualisation(host: Host) -> str:
    flags = re.search(r"^flags\s*:.*\bhypervisor\b", host.read("/proc/cpuinfo") or "", re.MULTILINE)
    vendor = " ".join(filter(None, (host.read(f"/sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))))
    kind = (host.read("/sys/hypervisor/type") or "").lower()
    named = next((name for mark, name in HYPERVISORS.items() if mark in f"{vendor} {kind}".lower()), "")
    return (named or "unknown") if flags else named if kind or named in {"kvm", "vmware"} else ""


def _container(host: Host) -> str:
    if host.live and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    if said := host.read("/run/systemd/container"):
        return said
    if _own_machine(host):
        return ""  # a machine whose disk was made from a container's image has its marks too
    if host.exists("/.dockerenv"):
        return "docker"
    if host.exists("/run/.containerenv"):
        return "podman"
    if said := host.variable("container"):
        return said
    groups = host.read("/proc/1/cgroup") or ""
    named = "kubernetes" if "kubepods" in groups else "docker" if "/docker/" in groups else ""
    return named or ("user namespace" if _mapped(host) else "")


def _mapped(host: Host) -> bool:
    """Root here is somebody else outside, and may write next to nothing of the kernel's, whatever runs the container."""
    users = host.read("/proc/self/uid_map")
    return users is not None and users.split() != ALL_USERS


def _own_machine(host: Host) -> bool:
    """The processes of a container, its users, or its root, are not those that the kernel began with."""
    if _mapped(host):
        return False
    root = re.search(r"^\S+ / (\S+) ", host.read("/proc/mounts") or "", re.MULTILINE)
    return (
        host.link("/proc/self/ns/pid") == FIRST_PIDS
        and root is not None
        and root[1] not in {"overlay", "fuse-overlayfs"}
    )
