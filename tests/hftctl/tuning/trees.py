"""Builds the tree of a host: the files that tuning reads, as a machine of that kind shows them."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from hftctl.tuning import cpu_list

STATE = "var/lib/hftctl-tune"
FLAGS = {
    "intel": "fpu tsc msr pdpe1gb rdtscp lm constant_tsc nonstop_tsc sse4_2 avx avx2 avx512f aperfmperf",
    "amd": "fpu tsc msr pdpe1gb rdtscp lm constant_tsc nonstop_tsc sse4_2 avx avx2 aperfmperf",
}
VENDORS = {"intel": "GenuineIntel", "amd": "AuthenticAMD"}
SYSCTLS = {
    "net/core/rmem_max": "212992", "net/core/wmem_max": "212992", "net/core/netdev_max_backlog": "1000",
    "net/core/netdev_budget": "300", "net/core/somaxconn": "4096", "net/core/busy_poll": "0", "net/core/busy_read": "0",
    "net/ipv4/tcp_rmem": "4096\t131072\t6291456", "net/ipv4/tcp_wmem": "4096\t16384\t4194304",
    "net/ipv4/tcp_max_syn_backlog": "2048", "net/ipv4/tcp_slow_start_after_idle": "1", "net/ipv4/tcp_autocorking": "1",
    "net/ipv4/tcp_notsent_lowat": "4294967295", "vm/swappiness": "60", "vm/stat_interval": "1",
    "vm/compaction_proactiveness": "20", "vm/zone_reclaim_mode": "0", "kernel/numa_balancing": "0",
    "kernel/timer_migration": "1", "kernel/nmi_watchdog": "1", "kernel/watchdog_cpumask": "0-{last}",
}  # fmt: skip
COALESCING = {"rx_usecs": 50, "rx_frames": 0, "tx_usecs": 50, "tx_frames": 0, "adaptive_rx": 1, "adaptive_tx": 1}


@dataclass(frozen=True)
class Card:
    name: str
    driver: str
    pci: str
    node: int
    queues: int
    default_route: bool = False
    group: int = -1  # of the IOMMU; -1: it is off
    tables: dict[str, dict[str, int]] = field(
        default_factory=lambda: {"coalescing": COALESCING, "offloads": {"gro": 1, "lro": 0}}
    )


@dataclass(frozen=True)
class Machine:
    vendor: str = "intel"
    model: str = "Intel(R) Xeon(R) Gold 6334 CPU @ 3.60GHz"
    packages: int = 1
    nodes_per_package: int = 1
    cores_per_package: int = 8
    threads: int = 2
    memory_gib: int = 64  # per node
    kernel: str = "6.1.0-28-amd64"
    command_line: str = "BOOT_IMAGE=/boot/vmlinuz-6.1.0-28-amd64 root=UUID=0b6f1a52 ro quiet"
    config: dict[str, str] = field(
        default_factory=lambda: {
            "NO_HZ_FULL": "y",
            "RCU_NOCB_CPU": "y",
            "HZ": "250",
            "XDP_SOCKETS": "y",
            "BPF_SYSCALL": "y",
        }
    )
    cards: tuple[Card, ...] = ()
    frequency: str = "intel_pstate"  # "" where a hypervisor decides
    hypervisor: str = ""
    init: str = "systemd"
    services: tuple[str, ...] = ()
    system: str = 'ID=debian\nVERSION_ID="12"\n'
    files: dict[str, str] = field(default_factory=dict)


def build(root: Path, of: Machine) -> Path:
    def put(path: str, text: str, mode: int = 0o644) -> None:
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{text}\n" if not text.endswith("\n") and text else text)
        place.chmod(mode)

    cores, nodes = of.packages * of.cores_per_package, of.packages * of.nodes_per_package
    count = cores * of.threads
    everything = cpu_list.shown(range(count))
    for name in ("online", "present", "possible"):
        put(f"sys/devices/system/cpu/{name}", everything)
    put("sys/devices/system/cpu/isolated", "\n")
    if of.config.get("NO_HZ_FULL") == "y":
        put("sys/devices/system/cpu/nohz_full", "(null)")
    put("sys/devices/system/cpu/smt/control", "on" if of.threads > 1 else "notsupported")
    for cpu in range(count):
        core = cpu % cores
        place = f"sys/devices/system/cpu/cpu{cpu}"
        put(f"{place}/topology/physical_package_id", str(core // of.cores_per_package))
        put(f"{place}/topology/core_id", str(core % of.cores_per_package))
        put(f"{place}/topology/core_cpus_list", ",".join(str(core + cores * one) for one in range(of.threads)))
        put(f"{place}/power/pm_qos_resume_latency_us", "0")
        if of.frequency:
            put(f"{place}/cpuidle/state0/name", "POLL")
            policy = f"sys/devices/system/cpu/cpufreq/policy{cpu}"
            put(f"{policy}/scaling_governor", "powersave" if of.frequency == "intel_pstate" else "schedutil")
            put(f"{policy}/scaling_available_governors", "performance powersave schedutil")
            if of.frequency == "intel_pstate":
                put(f"{policy}/energy_performance_preference", "balance_performance")
                put(
                    f"{policy}/energy_performance_available_preferences",
                    "default performance balance_performance power",
                )
    if of.frequency == "intel_pstate":
        put("sys/devices/system/cpu/intel_pstate/no_turbo", "0")
    elif of.frequency:
        put("sys/devices/system/cpu/cpufreq/boost", "1")
    per_node = cores // nodes
    for node in range(nodes):
        cpus = [cpu for cpu in range(count) if (cpu % cores) // per_node == node]
        place = f"sys/devices/system/node/node{node}"
        put(f"{place}/cpulist", cpu_list.shown(cpus))
        total = of.memory_gib << 20
        put(
            f"{place}/meminfo",
            f"Node {node} MemTotal: {total} kB\nNode {node} MemFree: {total // 10 * 7} kB\nNode {node} Active(file): {total // 20} kB\n"
            f"Node {node} Inactive(file): {total // 20} kB\nNode {node} Dirty: 120 kB\n",
        )
        for size in (2048, 1048576):
            put(f"{place}/hugepages/hugepages-{size}kB/nr_hugepages", "0")
            put(f"{place}/hugepages/hugepages-{size}kB/free_hugepages", "0")
    whole = nodes * (of.memory_gib << 20)
    put(
        "proc/meminfo",
        f"MemTotal: {whole} kB\nMemFree: {whole // 10 * 7} kB\nMemAvailable: {whole // 10 * 8} kB\nSwapTotal: 0 kB\n",
    )
    for size in (2048, 1048576):
        put(f"sys/kernel/mm/hugepages/hugepages-{size}kB/nr_hugepages", "0")
    put("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never")
    put("sys/kernel/mm/transparent_hugepage/defrag", "always defer defer+madvise [madvise] never")
    put("sys/kernel/mm/transparent_hugepage/khugepaged/defrag", "1")
    put("sys/kernel/mm/ksm/run", "1" if "ksmtuned" in of.services else "0")
    flags = FLAGS[of.vendor] + (" hypervisor" if of.hypervisor else "")
    put(
        "proc/cpuinfo",
        f"processor\t: 0\nvendor_id\t: {VENDORS[of.vendor]}\nmodel name\t: {of.model}\nflags\t\t: {flags}\n",
    )
    if of.hypervisor:
        put("sys/class/dmi/id/sys_vendor", of.hypervisor)
    for key, value in SYSCTLS.items():
        put(f"proc/sys/{key}", value.replace("{last}", str(count - 1)))
    if nodes > 1:
        put("proc/sys/kernel/numa_balancing", "1")
    put("proc/sys/kernel/osrelease", of.kernel)
    put("proc/sys/kernel/hostname", root.name)
    put("proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555")
    put("proc/cmdline", of.command_line)
    put("proc/1/comm", of.init)
    put("proc/mounts", "proc /proc proc rw 0 0\nhugetlbfs /dev/hugepages hugetlbfs rw 0 0\n")
    put(f"boot/config-{of.kernel}", "".join(f"CONFIG_{key}={value}\n" for key, value in of.config.items()))
    put("etc/os-release", of.system)
    put("etc/sysctl.conf", "# Kernel sysctl configuration file\n")
    for folder in (
        "etc/sysctl.d",
        "etc/tmpfiles.d",
        "etc/security",
        "etc/systemd/system/multi-user.target.wants",
        "etc/udev/rules.d",
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
    clocks = "sys/devices/system/clocksource/clocksource0"
    put(f"{clocks}/available_clocksource", "kvm-clock tsc acpi_pm" if of.hypervisor else "tsc hpet acpi_pm")
    put(f"{clocks}/current_clocksource", "kvm-clock" if of.hypervisor else "tsc")
    width = max(-(-count // 4), 1)
    full = cpu_list.mask(range(count), width=4 * width)
    put("sys/devices/virtual/workqueue/cpumask", full)
    put("sys/devices/virtual/workqueue/writeback/cpumask", full)
    put("proc/irq/default_smp_affinity", full)
    put("proc/sys/net/core/rps_default_mask", re.sub("[0-9a-f]", "0", full))
    put("dev/cpu_dma_latency", "")
    put("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids")
    _interrupts(put, of, count, everything, full)
    for service in of.services:
        put(f"sys/fs/cgroup/system.slice/{service}.service/cgroup.procs", "812")
    for path, text in of.files.items():
        put(path, text)
    return root


def _interrupts(put, of: Machine, count: int, everything: str, full: str) -> None:
    lines, number, routes = [], 8, []
    asked = [("IO-APIC    8-edge", "rtc0"), ("PCI-MSIX-0000:01:00.0    0-edge", "nvme0q0")]
    owner: dict[int, Card] = {}
    for card in of.cards:
        place = f"sys/class/net/{card.name}"
        put(f"{place}/device/uevent", f"DRIVER={card.driver}\nPCI_SLOT_NAME={card.pci}\n")
        put(f"{place}/device/numa_node", str(card.node))
        put(f"{place}/operstate", "up")
        put(f"{place}/speed", "25000")
        put(f"{place}/napi_defer_hard_irqs", "0")
        put(f"{place}/gro_flush_timeout", "0")
        put(f"{place}/threaded", "0")
        if card.pci:
            put(f"sys/bus/pci/devices/{card.pci}/driver", f"../../../bus/pci/drivers/{card.driver}")
            put(f"sys/bus/pci/devices/{card.pci}/driver_override", "(null)")
            put(f"sys/bus/pci/devices/{card.pci}/numa_node", str(card.node))
        if card.group >= 0:
            put(f"sys/bus/pci/devices/{card.pci}/iommu_group", f"../../../kernel/iommu_groups/{card.group}")
            put(f"sys/kernel/iommu_groups/{card.group}/devices/{card.pci}", "")
        for queue in range(card.queues):
            put(f"{place}/queues/rx-{queue}/rps_cpus", re.sub("[0-9a-f]", "0", full))
            put(f"{place}/queues/tx-{queue}/xps_cpus", full)
            asked.append((f"PCI-MSIX-{card.pci}   {queue}-edge", f"{card.name}-TxRx-{queue}"))
            owner[len(asked) - 1] = card
        for table, values in card.tables.items():
            path = f"ethtool/{card.name}/{table}"
            put(path, json.dumps(values))
        if card.default_route:
            routes.append(f"{card.name}\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0")
    for index, (chip, name) in enumerate(asked):
        counts = "  ".join("7" for _ in range(count))
        lines.append(f"{number:>4}:  {counts}  {chip}      {name}")
        put(f"proc/irq/{number}/smp_affinity_list", everything)
        put(f"proc/irq/{number}/effective_affinity_list", "0")
        if index in owner:
            put(f"sys/class/net/{owner[index].name}/device/msi_irqs/{number}", "")
        number += 1
    put(
        "proc/interrupts",
        "  ".join(["      ", *(f"CPU{cpu}" for cpu in range(count))])
        + "\n"
        + "\n".join(lines)
        + "\n LOC:  1  Local timer interrupts",
    )
    put(
        "proc/net/route",
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n" + "\n".join(routes),
    )


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below a root but what hftctl keeps for itself: kind, mode, owner, content."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, names, files in os.walk(root):
        if os.path.relpath(folder, root).startswith(STATE):
            continue
        for name in [*names, *files]:
            path = Path(folder, name)
            what = path.lstat()
            shown = str(path.relative_to(root))
            if shown in {"var", "var/lib", STATE}:
                continue
            link = str(path.readlink()) if stat.S_ISLNK(what.st_mode) else ""
            data = path.read_bytes() if stat.S_ISREG(what.st_mode) else b""
            found[shown] = (stat.S_IFMT(what.st_mode), stat.S_IMODE(what.st_mode), what.st_uid, what.st_gid, link, data)
    return found
