"""What can be said of a command line without booting it: by rules, never as sure as the kernel's own word."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hftctl.errors import UsageError
from hftctl.tuning import cpu_list
from hftctl.tuning.boot.command_line import MEANT
from hftctl.tuning.rehearse import words as wording
from hftctl.tuning.rehearse.shape import GIB, Shape, asked
from hftctl.tuning.rehearse.words import Word

HUGE_SHARE_MAX = 0.6  # of the memory, in pages taken at boot: what is left must run the system
LINE_BYTES_MAX = 2048  # COMMAND_LINE_SIZE on x86
CPU_WORDS = ("isolcpus", "nohz_full", "rcu_nocbs", "irqaffinity")
ISOLATION_FLAGS = {"nohz", "domain", "managed_irq"}
KNOWN = {
    *CPU_WORDS, "nohz", "skew_tick", "nosoftlockup", "nowatchdog", "nmi_watchdog", "watchdog", "tsc", "clocksource", "idle",
    "intel_pstate", "amd_pstate", "intel_iommu", "amd_iommu", "iommu", "hugepagesz", "hugepages", "default_hugepagesz",
    "hugetlb_free_vmemmap", "transparent_hugepage", "mce", "audit", "mitigations", "nosmt", "maxcpus", "nr_cpus", "possible_cpus",
    "numa_balancing", "pcie_aspm", "ro", "rw", "loglevel", "debug", "net_ifnames", "biosdevname", "selinux", "security",
    "apparmor", "lsm", "cgroup_no_v1", "cgroup_enable", "cgroup_disable", "psi", "kthread_cpus", "housekeeping", "threadirqs",
    "preempt", "rcu_nocb_poll", "acpi", "nox2apic", "noapic", "pci", "irqpoll", "swiotlb", "vsyscall", "highres", "nohlt",
    "cpufreq.default_governor", "consoleblank", "fips", "module_blacklist", "slub_debug", "init_on_alloc", "init_on_free",
    "page_poison", "randomize_kstack_offset", "kvm", "tsx", "tsx_async_abort", "spec_store_bypass_disable", "l1tf", "mds",
    "nopti", "pti", "nospectre_v2", "spectre_v2", "retbleed", "nokaslr", "kaslr", "nosmap", "noxsave", "x86_intel_mid_timeout",
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """`sure`: it holds whatever the kernel; otherwise only a rehearsal can tell."""

    code: str
    word: str
    message: str
    sure: bool = True


def examine(words: Sequence[Word], host: Shape, config: Mapping[str, str]) -> Iterator[Finding]:
    """`config`: what the kernel was built with; empty when nothing says."""
    sets: dict[str, set[int]] = {}
    for word in words:
        yield from _known(word)
        if word.key in CPU_WORDS:
            yield from _cpus(word, host, sets)
    yield from _isolation(words, host, sets)
    yield from _pages(words, host)
    if sets.get("nohz_full") and config and config.get("NO_HZ_FULL") != "y":
        yield Finding("no-nohz-full", "nohz_full", "this kernel is built without NO_HZ_FULL: the tick will go on")
    if sets.get("rcu_nocbs") and config and config.get("RCU_NOCB_CPU") != "y":
        yield Finding("no-rcu-nocb", "rcu_nocbs", "this kernel is built without RCU_NOCB_CPU")
    if (length := len(wording.line(words).encode())) >= LINE_BYTES_MAX:
        yield Finding(
            "too-long", "", f"the command line has {length} bytes; the kernel cuts it off at {LINE_BYTES_MAX - 1}"
        )


def _known(word: Word) -> Iterator[Finding]:
    if word.key in MEANT:
        yield Finding("unknown-parameter", word.text, f"no kernel knows {word.name}; {MEANT[word.key]} is meant")
        return
    if word.key in KNOWN or "." in word.key or word.for_user_space or word.key in wording.LEFT_OUT:
        return
    near = difflib.get_close_matches(word.key, sorted(KNOWN), 1)
    meant = f"; {near[0]} is meant?" if near else ""
    yield Finding("unknown-parameter", word.text, f"not among the parameters that we know{meant}", sure=False)


def _cpus(word: Word, host: Shape, sets: dict[str, set[int]]) -> Iterator[Finding]:
    flags, text = wording.split_flags(word.value or "") if word.key == "isolcpus" else ((), word.value or "")
    if unknown := [flag for flag in flags if flag not in ISOLATION_FLAGS]:
        yield Finding(
            "bad-flag", word.text, f"isolcpus has no flag {', '.join(unknown)}: {', '.join(sorted(ISOLATION_FLAGS))}"
        )
    if word.key == "rcu_nocbs" and text in {"", "all"}:
        return
    try:
        cpus = set(cpu_list.parse(text.replace("N", str(host.possible - 1))))
    except UsageError as error:
        if not _rich(text):
            yield Finding("bad-range", word.text, error.message)
        return
    if not cpus:
        yield Finding("bad-range", word.text, f"{word.name} names no CPU")
        return
    if absent := sorted(cpus - set(host.cpus)):
        yield Finding("absent-cpu", word.text, f"this host has no CPU {cpu_list.shown(absent)}")
    sets[word.key] = sets.get(word.key, set()) | cpus


def _rich(text: str) -> bool:
    """`0-31:1/2`, `all`: forms that kernels take and the rules do not read."""
    return text == "all" or ":" in text


def _isolation(words: Sequence[Word], host: Shape, sets: dict[str, set[int]]) -> Iterator[Finding]:
    for key in ("isolcpus", "nohz_full"):
        cpus = sets.get(key, set())
        text = next((word.text for word in words if word.key == key), "")
        if cpus >= set(host.cpus):
            yield Finding("all-isolated", text, "all CPUs are named: none is left to run the system")
        elif 0 in cpus:
            yield Finding(
                "cpu0-isolated",
                text,
                "CPU 0 keeps the time and cannot be kept free: the kernel takes it out of nohz_full",
            )
        for number, node in enumerate(host.nodes):
            if len(host.nodes) > 1 and node.cpus and set(node.cpus) <= cpus and not cpus >= set(host.cpus):
                yield Finding("node-without-housekeeping", text, f"node {number} keeps no CPU for the system")
    isolated = sets.get("isolcpus", set()) | sets.get("nohz_full", set())
    if both := sorted(isolated & sets.get("irqaffinity", set())):
        text = next(word.text for word in words if word.key == "irqaffinity")
        yield Finding("irq-on-isolated", text, f"interrupts are sent to isolated CPU {cpu_list.shown(both)}")


def _pages(words: Sequence[Word], host: Shape) -> Iterator[Finding]:
    requests = asked(words)
    total = sum(size * count for size, _, count in requests)
    text = " ".join(word.text for word in words if word.key in {"hugepagesz", "hugepages"})
    if total > HUGE_SHARE_MAX * host.memory_bytes:
        yield Finding(
            "huge-pages-over", text,
            f"huge pages take {total / GIB:.1f} GiB at boot, {100 * total / host.memory_bytes:.0f} % of {host.memory_bytes / GIB:.1f} "
            f"GiB; above {100 * HUGE_SHARE_MAX:.0f} % a kernel may panic before anybody can log in",
        )  # fmt: skip
    for number, node in enumerate(host.nodes):
        part = sum(size * count for size, where, count in requests if where == number)
        if part > node.memory_bytes:
            yield Finding(
                "huge-pages-over",
                text,
                f"node {number} has {node.memory_bytes / GIB:.1f} GiB, {part / GIB:.1f} are asked",
            )
    if absent := sorted({where for _, where, _ in requests if where is not None and where >= len(host.nodes)}):
        yield Finding("absent-node", text, f"this host has no node {', '.join(map(str, absent))}")
