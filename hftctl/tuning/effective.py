"""What became of kernel parameters: asked for, on the command line of this boot, and in effect.

The word on the command line proves nothing: the kernel drops what it does not know and what it cannot do, and says so in
its log at most.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hftctl.errors import HftctlError
from hftctl.run import run
from hftctl.tuning import cpu_list
from hftctl.tuning.facts.topology import meminfo
from hftctl.tuning.host import Host
from hftctl.tuning.places import pages

COMPLAINTS = re.compile(
    r"Unknown kernel command line parameters|Housekeeping: |NO_HZ: Clearing|HugeTLB: .*(?:unsupported|invalid|allocat)|"
    r"Malformed early option",
    re.IGNORECASE,
)
LISTS = {
    "isolcpus": "/sys/devices/system/cpu/isolated",
    "nohz_full": "/sys/devices/system/cpu/nohz_full",
}
MASKS = {"irqaffinity": "/proc/irq/default_smp_affinity"}
VALUES = {
    "nmi_watchdog": "/proc/sys/kernel/nmi_watchdog",
    "nosoftlockup": "/proc/sys/kernel/soft_watchdog",
    "transparent_hugepage": "/sys/kernel/mm/transparent_hugepage/enabled",
}
OFF = {"nosoftlockup": "0"}  # words without a value
OFFLOADED = re.compile(r"Offload RCU callbacks from CPUs: ([\d,-]+)")
SIZES = {"K": 1, "M": 1 << 10, "G": 1 << 20}


@dataclass(frozen=True)
class Effect:
    parameter: str
    accepted: bool  # stands on the command line of this boot
    effective: str  # yes; no: with what is there instead; unknown: nothing shows it
    message: str


def effects(host: Host, command_line: str, wanted: list[str]) -> Iterator[Effect]:
    words = command_line.split()
    log = _log(host)
    said, size_kib = complaints(log), meminfo(host.read("/proc/meminfo") or "").get("Hugepagesize", 2 << 20) >> 10
    for parameter in wanted:
        key, _, value = parameter.partition("=")
        if key == "hugepagesz":
            size_kib = _kib(value)
        if parameter not in words:
            yield Effect(parameter, False, "no", "not on the command line of this boot: it comes with the next one")
            continue
        about = [line for line in said if re.search(rf"\b{re.escape(key)}\b", line) or parameter in line]
        if about:
            yield Effect(parameter, True, "no", f"the kernel said: {about[0]}")
        elif key in {"hugepagesz", "hugepages"}:
            yield _pages(host, parameter, size_kib)
        elif key == "rcu_nocbs" and (offloaded := OFFLOADED.search(log)):
            there = cpu_list.parse(offloaded[1])
            lacking = set(cpu_list.parse(value)) - set(there)  # nohz_full may bring more
            yield _effect(parameter, not lacking, f"the kernel offloads the callbacks of CPUs {offloaded[1]}")
        elif (instead := _instead(host, key, value)) is None:
            yield Effect(parameter, True, "unknown", "accepted without a complaint; nothing shows its effect")
        else:
            yield _effect(parameter, not instead, instead or "in effect")


def _effect(parameter: str, there: bool, message: str) -> Effect:
    return Effect(parameter, True, "yes" if there else "no", message)


def _pages(host: Host, parameter: str, size_kib: int) -> Effect:
    """Huge pages are counted where the kernel keeps them: the whole machine's, or each node's that was asked for."""
    key, _, value = parameter.partition("=")
    whole = f"{pages.MACHINE}/{size_kib}"
    if not host.exists(pages.counter(whole)):
        return _effect(parameter, False, f"this kernel has no pages of {pages.size(size_kib)}")
    if key == "hugepagesz":
        return _effect(parameter, True, f"this kernel has pages of {pages.size(size_kib)}")
    there, found = True, []
    for part in value.split(","):
        node, colon, count = part.rpartition(":")
        where = f"node{node}/{size_kib}" if colon else whole
        there = there and host.number(pages.counter(where)) >= int(count)
        found.append(f"{f'node {node}: ' if colon else ''}{pages.effect(host, where)}")
    return _effect(parameter, there, "; ".join(found))


def _kib(value: str) -> int:
    unit = SIZES.get(value[-1:].upper(), 0)
    return int(value[:-1]) * unit if unit and value[:-1].isdecimal() else 0


def _instead(host: Host, key: str, value: str) -> str | None:
    """What is there instead; empty where it is as asked; None where nothing shows it."""
    if path := LISTS.get(key):
        flags = {part for part in value.split(",") if not part[:1].isdecimal()}
        if flags and "domain" not in flags:
            return None  # isolcpus=managed_irq alone takes no CPU out of what the file lists
        asked = cpu_list.parse(",".join(part for part in value.split(",") if part not in flags))
        text = host.read(path)
        there = cpu_list.parse((text or "").replace("(null)", ""))
        return (
            ""
            if there == asked
            else f"{path} is {'absent: not built into this kernel' if text is None else text or 'empty'}"
        )
    if path := MASKS.get(key):
        there = cpu_list.from_mask(host.read(path) or "0")
        return "" if there == cpu_list.parse(value) else f"{path} has CPUs {cpu_list.shown(there)}"
    if path := VALUES.get(key):
        text = host.read(path) or "absent"
        chosen = text.partition("[")[2].partition("]")[0] or text
        return "" if chosen == OFF.get(key, value) else f"{path} is {chosen}"
    return None


def complaints(log: str) -> list[str]:
    """Of the kernel's log about its command line."""
    return [line for line in log.splitlines() if COMPLAINTS.search(line)]


def _log(host: Host) -> str:
    """The kernel's log without its times; empty where it cannot be read any more."""
    if host.live:
        try:
            text = run(["dmesg"], timeout_s=10.0, check=False).stdout
        except HftctlError:
            text = ""
    else:
        text = host.read("/var/log/dmesg") or ""
    return re.sub(r"^\[\s*[\d.]+\]\s*", "", text, flags=re.MULTILINE)
