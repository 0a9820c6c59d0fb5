"""The kernel: its configuration, command line, and what of it is in effect."""

from __future__ import annotations

import gzip
import platform
import re
import zlib

from hftctl.tuning import cpu_list
from hftctl.tuning.facts.model import Kernel
from hftctl.tuning.host import Host

ASKED = (
    "NO_HZ_FULL", "RCU_NOCB_CPU", "CPU_ISOLATION", "CPUSETS", "HUGETLBFS", "TRANSPARENT_HUGEPAGE", "NUMA_BALANCING",
    "PREEMPT_RT", "XDP_SOCKETS", "BPF_SYSCALL", "VFIO", "VFIO_PCI", "KSM", "HZ", "OSNOISE_TRACER", "NET_RX_BUSY_POLL",
)  # fmt: skip
CLOCKS = "/sys/devices/system/clocksource/clocksource0"


def kernel(host: Host) -> Kernel:
    release = host.read("/proc/sys/kernel/osrelease") or (platform.release() if host.live else "")
    nohz = host.read("/sys/devices/system/cpu/nohz_full")
    return Kernel(
        release=release,
        arch=host.read("/proc/sys/kernel/arch") or (platform.machine() if host.live else "x86_64"),
        command_line=host.read("/proc/cmdline") or "",
        config=_config(host, release),
        boot_id=host.read("/proc/sys/kernel/random/boot_id") or "",
        isolated=cpu_list.parse(host.read("/sys/devices/system/cpu/isolated") or ""),
        nohz_full=None if nohz is None else cpu_list.parse(nohz.replace("(null)", "")),
        clocksource=host.read(f"{CLOCKS}/current_clocksource") or "",
        clocksources=tuple((host.read(f"{CLOCKS}/available_clocksource") or "").split()),
        lockdown=_bracketed(host.read("/sys/kernel/security/lockdown") or "") or "none",
    )


def interrupts(host: Host) -> dict[str, str]:
    """Number -> what asks for it. Only numbered ones: the others have no affinity."""
    lines = (host.read("/proc/interrupts") or "").splitlines()
    count = len(lines[0].split()) if lines else 0
    found = {}
    for line in lines[1:]:
        words = line.split(maxsplit=count + 1)
        number = words[0].rstrip(":") if words else ""
        if number.isdecimal() and len(words) > count + 1:
            found[number] = (
                re.sub(r"^\S+\s+(?:\d+-\w+\s+|\d+\s+(?:Edge|Level)\s+)?", "", words[-1]).strip() or words[-1]
            )
    return found


def _config(host: Host, release: str) -> dict[str, str]:
    text = host.read(f"/boot/config-{release}") or host.read(f"/lib/modules/{release}/config") or _packed(host)
    values = dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE))
    return {name: values.get(name, "n") for name in ASKED} if values else {}


def _packed(host: Host) -> str:
    data = host.read_bytes("/proc/config.gz")
    try:
        return gzip.decompress(data).decode(errors="replace") if data else ""
    except (OSError, EOFError, zlib.error):
        return ""


def _bracketed(text: str) -> str:
    return text.partition("[")[2].partition("]")[0]
