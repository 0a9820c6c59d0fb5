"""The guest's shape after the host's: as many CPUs and nodes as a rehearsal can bear, memory and its pages in proportion."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hftctl.errors import UsageError
from hftctl.tuning import cpu_list
from hftctl.tuning.rehearse.words import Word

MIB, GIB = 1 << 20, 1 << 30
CPUS_MAX = 32  # present in the guest; the rest of the host's are possible, so that lists of them are understood
CPU_COUNT_MAX = 255  # what the guest's machine can number without more
MEMORY_BYTES = GIB
MEMORY_GIANT_BYTES = 8 * GIB  # where pages of 1 GiB are asked for: untouched memory costs the host nothing
MEMORY_LEAST_BYTES = 128 * MIB
UNITS = {"": 1, "K": 1 << 10, "M": MIB, "G": GIB}


@dataclass(frozen=True)
class Node:
    cpus: tuple[int, ...]
    memory_bytes: int


@dataclass(frozen=True)
class Shape:
    """`share`: the guest's memory as a part of the host's; huge pages are asked for in the same proportion."""

    nodes: tuple[Node, ...]
    share: float = 1.0

    @property
    def cpus(self) -> tuple[int, ...]:
        return tuple(sorted(cpu for node in self.nodes for cpu in node.cpus))

    @property
    def memory_bytes(self) -> int:
        return sum(node.memory_bytes for node in self.nodes)

    @property
    def possible(self) -> int:
        return max(self.cpus) + 1

    @property
    def present(self) -> int:
        return min(self.possible, CPUS_MAX)


def even(cpus: int, nodes: int, memory_bytes: int) -> Shape:
    """`cpus` spread over `nodes` in order. Raises UsageError for what no machine can be."""
    if not 1 <= nodes <= cpus <= CPU_COUNT_MAX:
        raise UsageError(
            f"cannot rehearse {cpus} CPUs on {nodes} nodes: 1 to {CPU_COUNT_MAX} CPUs, at least one per node",
            hint="hftctl tune rehearse --cpus 4 --nodes 1",
        )
    each = -(-cpus // nodes)
    parts = [tuple(range(first, min(first + each, cpus))) for first in range(0, cpus, each)]
    return Shape(tuple(Node(part, memory_bytes // len(parts)) for part in parts))


def guest(host: Shape, words: Sequence[Word]) -> Shape:
    """The host scaled down to what a rehearsal takes; each node keeps its part of the memory."""
    giant = any(size == GIB for size, _, _ in asked(words))
    wanted = min(host.memory_bytes, MEMORY_GIANT_BYTES if giant else MEMORY_BYTES)
    if host.memory_bytes < MEMORY_LEAST_BYTES:
        raise UsageError(f"{host.memory_bytes >> 20} MiB are too little for any kernel", hint="--memory 1G")
    share = wanted / host.memory_bytes
    nodes = tuple(
        replace(node, memory_bytes=max(int(node.memory_bytes * share) // (2 * MIB) * 2 * MIB, 2 * MIB))
        for node in host.nodes
    )
    return Shape(nodes, share)


def asked(words: Sequence[Word]) -> list[tuple[int, int | None, int]]:
    """(page size in bytes, node or None, pages) of each request in `hugepagesz=` and `hugepages=`, in order."""
    size, found = 2 * MIB, []
    for word in words:
        if word.key == "hugepagesz" and word.value:
            size = memory(word.value)
        elif word.key == "hugepages" and word.value:
            for part in word.value.split(","):
                node, colon, count = part.rpartition(":")
                if count.isdecimal() and (not colon or node.isdecimal()):
                    found.append((size, int(node) if colon else None, int(count)))
    return found


def scaled(words: Sequence[Word], share: float) -> tuple[Word, ...]:
    """Requests for huge pages in the guest's proportion; at least one page where any was asked for."""
    out = []
    for word in words:
        if word.key == "hugepages" and word.value and share < 1:
            parts = [
                re.sub(r"(\d+)$", lambda one: str(_part(int(one[1]), share)), part) for part in word.value.split(",")
            ]
            out.append(Word(f"{word.name}={','.join(parts)}"))
        else:
            out.append(word)
    return tuple(out)


def _part(count: int, share: float) -> int:
    return max(round(count * share), 1) if count else 0


def memory(text: str) -> int:
    """`512M`, `1G`, `2048K` in bytes. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,12})([KMG]?)i?B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise UsageError(f"{text!r} is no size such as 512M or 2G")
    return int(found[1]) * UNITS[found[2].upper()]


def said(shape: Shape) -> str:
    nodes = "; ".join(f"node {number}: CPU {cpu_list.shown(node.cpus)}" for number, node in enumerate(shape.nodes))
    return f"{len(shape.cpus)} CPUs ({nodes}), {shape.memory_bytes >> 20} MiB"
