"""Facts of a host. Plain data: as JSON they are what plans of other machines and tests are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cpu:
    number: int
    online: bool
    package: int
    core: int  # unique within a package only
    node: int
    siblings: tuple[int, ...]  # SMT threads of the same core, itself among them


@dataclass(frozen=True)
class Pages:
    """Huge pages of one size."""

    total: int
    free: int


@dataclass(frozen=True)
class Node:
    number: int
    cpus: tuple[int, ...]
    memory_bytes: int
    free_bytes: int  # free or given back at once: MemFree and the page cache that is clean
    pages: Mapping[str, Pages]  # by size in KiB: "2048", "1048576"


@dataclass(frozen=True)
class Nic:
    name: str
    driver: str
    pci: str  # 0000:3b:00.0; empty where it hangs on no PCI slot
    node: int  # -1: the firmware does not say
    receive_queues: int
    transmit_queues: int
    up: bool
    speed_mbps: int  # 0: unknown
    interrupts: tuple[int, ...]
    carries: str  # why nobody may cut it: "default route", "ssh from 10.0.0.7"; empty otherwise


@dataclass(frozen=True)
class Kernel:
    release: str
    arch: str
    command_line: str
    config: Mapping[
        str, str
    ]  # of the options that tuning asks about; empty where the kernel's configuration is not found
    boot_id: str
    isolated: tuple[int, ...]
    nohz_full: tuple[int, ...] | None  # None: not built into this kernel
    clocksource: str
    clocksources: tuple[str, ...]
    lockdown: str  # none, integrity, confidentiality


@dataclass(frozen=True)
class Surroundings:
    platform: str
    system: str  # ID of os-release: debian, ubuntu, rhel
    version: str
    like: tuple[str, ...]
    virtualisation: str  # "" on bare metal; kvm, vmware, hyper-v, xen, unknown
    container: str  # "" outside of one; docker, kubernetes
    wsl: bool
    services: tuple[str, ...]  # of those that tune too, or that tuning would disturb: the running ones
    pods: int  # that a kubelet has here
    battery: bool
    secure_boot: bool
    init: str  # systemd, or the name of process 1


@dataclass(frozen=True)
class Boot:
    loader: str  # grub, bls, systemd-boot, ostree, unified-image; "" where none is found
    entries: tuple[str, ...]  # files that hold a kernel command line each: grub.cfg, entries/*.conf


@dataclass(frozen=True)
class Facts:
    host_name: str
    vendor: str  # intel, amd, arm, other
    model: str
    flags: tuple[str, ...]  # of the first CPU
    cpus: tuple[Cpu, ...]
    smt: str  # on, off, forceoff, notsupported
    nodes: tuple[Node, ...]
    memory_bytes: int
    available_bytes: int
    swap_bytes: int
    page_sizes_kib: tuple[int, ...]
    nics: tuple[Nic, ...]
    kernel: Kernel
    surroundings: Surroundings
    boot: Boot
    iommu_groups: int
    throttled: int  # times since the start that a package got too hot
    interrupts: Mapping[str, str] = field(default_factory=dict)  # number -> what asks for it: "eth0-TxRx-0"

    @property
    def online(self) -> tuple[int, ...]:
        return tuple(cpu.number for cpu in self.cpus if cpu.online)

    @property
    def plan_only(self) -> str:
        """Why nothing can be changed here, whoever asks; empty where it can."""
        around = self.surroundings
        if around.platform != "linux":
            return f"this is {around.platform}: there is no Linux kernel to tune"
        if around.wsl:
            return "this is WSL: its kernel is started and configured by Windows"
        if around.container:
            return f"this is a container ({around.container}): the kernel belongs to the host"
        return ""
