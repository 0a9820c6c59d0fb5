"""Huge pages of 1 GiB. Memory is in pieces soon after a boot, so they are reserved by the kernel's command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.setting import Argument, Situation, Skipped, Wish

GIGANTIC = "1048576"


class BootPages:
    name: ClassVar[str] = "boot-pages"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: how many per node with CPUs."""
        if "pdpe1gb" not in at.facts.flags and at.facts.vendor in {"intel", "amd"}:
            yield Skipped("huge pages of 1 GiB", "this processor has none (no pdpe1gb)", self.name)
            return
        nodes = [node.number for node in at.facts.nodes if node.cpus]
        counts = ",".join(f"{node}:{value}" for node in nodes) if len(nodes) > 1 else str(value)
        yield Argument("hugepagesz=1G", why, knob=self.name)
        yield Argument(f"hugepages={counts}", why, "that memory is gone for everything else", knob=self.name)


def asked(arguments: list[Argument]) -> dict[int, int]:
    """Node -> pages of 1 GiB among kernel parameters; -1 for all nodes together."""
    found: dict[int, int] = {}
    for argument in arguments:
        if argument.key == "hugepages":
            for part in argument.text.partition("=")[2].split(","):
                node, colon, count = part.rpartition(":")
                found[int(node) if colon else -1] = int(count)
    return found
