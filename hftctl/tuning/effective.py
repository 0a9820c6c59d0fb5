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
from hftctl.tuning.host import Host

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
    "transparent_hugepage": "/sys/kernel/mm/transparent_hugepage/enabled",
}


@dataclass(frozen=True)
class Effect:
    parameter: str
    accepted: bool  # stands on the command line of this boot
    effective: str  # yes; no: with what is there instead; unknown: nothing shows it
    message: str


def effects(host: Host, command_line: str, wanted: list[str]) -> Iterator[Effect]:
    words = command_line.split()
    said = complaints(host)
    for parameter in wanted:
        if parameter not in words:
            yield Effect(parameter, False, "no", "not on the command line of this boot: it comes with the next one")
            continue
        key, _, value = parameter.partition("=")
        about = [line for line in said if re.search(rf"\b{re.escape(key)}\b", line) or parameter in line]
        instead = _instead(host, key, value)
        if about:
            yield Effect(parameter, True, "no", f"the kernel said: {about[0]}")
        elif instead is None:
            yield Effect(parameter, True, "unknown", "accepted without a complaint; nothing shows its effect")
        else:
            yield Effect(parameter, True, "no" if instead else "yes", instead or "in effect")


def _instead(host: Host, key: str, value: str) -> str | None:
    """What is there instead; empty where it is as asked; None where nothing shows it."""
    if path := LISTS.get(key):
        asked = cpu_list.parse(",".join(part for part in value.split(",") if re.fullmatch(r"\d+(-\d+)?", part)))
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
        return "" if chosen == value else f"{path} is {chosen}"
    return None


def complaints(host: Host) -> list[str]:
    """Of the kernel's log about its command line; empty where the log cannot be read any more."""
    if host.live:
        try:
            text = run(["dmesg"], timeout_s=10.0, check=False).stdout
        except HftctlError:
            text = ""
    else:
        text = host.read("/var/log/dmesg") or ""
    return [re.sub(r"^\[\s*[\d.]+\]\s*", "", line) for line in text.splitlines() if COMPLAINTS.search(line)]
