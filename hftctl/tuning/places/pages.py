"""`pages:node0/2048`: huge pages of one size (KiB) on one node.

The kernel takes any number and grants what it finds, without an error. So they are asked for in steps, memory is looked at
before each, what was granted is read back, and a short grant is an error that leaves things as they were.
"""

from __future__ import annotations

from collections.abc import Sequence

from hftctl.errors import Failed
from hftctl.plan.change import Spec
from hftctl.tuning.facts.topology import NODES, meminfo
from hftctl.tuning.host import Host
from hftctl.tuning.places import as_kernel
from hftctl.tuning.places.kernel_value import write_once

STEP_BYTES = 512 << 20
LEFT_BYTES = 1 << 30
LEFT_SHARE = 10  # a tenth of the memory, where that is more
MACHINE = "machine"  # where the kernel knows no nodes


class HugePages:
    lasting = False

    def read(self, host: Host, where: str) -> Spec | None:
        text = host.read(counter(where))
        return None if text is None or not text.isdecimal() else {"pages": int(text)}

    def write(self, host: Host, where: str, spec: Spec | None, live: Spec | None) -> None:
        if spec is None or live is None:
            return
        wanted, had = int(spec["pages"]), int(live["pages"])
        size_bytes = int(where.partition("/")[2]) << 10
        step = max(STEP_BYTES // size_bytes, 1)
        now = had
        while now != wanted:
            aim = wanted if wanted < now else min(now + step, wanted)
            granted = now
            if aim < now or (aim - now) * size_bytes <= spare_bytes(host, where):
                _ask(host, where, aim, size_bytes)
                granted = int((self.read(host, where) or {"pages": now})["pages"])
            if granted == aim:
                now = aim
                continue
            if wanted > had:
                _ask(host, where, had, size_bytes)
            raise Failed(_short(host, where, wanted, granted, size_bytes))

    def settle(self, host: Host, where: str) -> None:
        as_kernel.settle(host, counter(where))

    def ours(self, live: Spec | None, before: Spec | None, written: Sequence[Spec | None]) -> bool:
        """Every number on the way from what was there to what was wanted."""
        counts = [int(one["pages"]) for one in (before, *written) if one is not None]
        return live is not None and bool(counts) and min(counts) <= int(live["pages"]) <= max(counts)


def counter(where: str) -> str:
    node, _, kib = where.partition("/")
    place = "/sys/kernel/mm" if node == MACHINE else f"{NODES}/{node}"
    return f"{place}/hugepages/hugepages-{kib}kB/nr_hugepages"


def effect(host: Host, where: str) -> str:
    """What shows that the pages are there: how many, how many of them nobody has taken yet, and what the machine counts."""
    kib = int(where.partition("/")[2])
    free = counter(where).replace("nr_hugepages", "free_hugepages")
    text = f"{host.number(counter(where))} pages of {size(kib)}, {host.number(free)} of them free"
    counted = meminfo(host.read("/proc/meminfo") or "").get("Hugetlb")
    return text if counted is None else f"{text}; huge pages of the machine in all: {size(counted >> 10)}"


def size(kib: int) -> str:
    for unit, name in ((1 << 20, "GiB"), (1 << 10, "MiB")):
        if kib and kib % unit == 0:
            return f"{kib // unit} {name}"
    return f"{kib} KiB"


def spare_bytes(host: Host, where: str) -> int:
    """What may be taken without making the node starve: never the last GiB, never the last tenth."""
    node = where.partition("/")[0]
    own = host.read(f"{NODES}/{node}/meminfo") if node != MACHINE else None
    memory = meminfo(own or "")
    whole = meminfo(host.read("/proc/meminfo") or "")
    total = memory.get("MemTotal", whole.get("MemTotal", 0))
    clean = memory.get("Inactive(file)", 0) + memory.get("Active(file)", 0)
    free = memory["MemFree"] + clean if "MemFree" in memory else whole.get("MemAvailable", 0)
    return min(free, whole.get("MemAvailable", free)) - max(LEFT_BYTES, total // LEFT_SHARE)


def _ask(host: Host, where: str, pages: int, size_bytes: int) -> None:
    if host.live:
        write_once(host, counter(where), str(pages))
        return
    had = host.number(counter(where))
    room = max(spare_bytes(host, where), 0) // size_bytes  # a captured tree grants what its memory has room for
    as_kernel.take(host, counter(where), str(min(pages, had + room) if pages > had else pages))


def _short(host: Host, where: str, wanted: int, granted: int, size_bytes: int) -> str:
    node, _, kib = where.partition("/")
    spare = max(spare_bytes(host, where), 0) >> 20
    return (
        f"{node}: {wanted} huge pages of {kib} KiB were asked for and {granted} granted; "
        f"{spare} MiB may be taken there, {(wanted * size_bytes) >> 20} MiB are wanted: "
        "free memory, ask for fewer, or reserve them at boot, before memory is in pieces"
    )
