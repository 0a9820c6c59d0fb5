"""Cards that a program drives itself (DPDK): taken from the kernel's driver and given to vfio-pci, only those that are named.

The IOMMU keeps such a program from memory that is not its own; without one a card is not handed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.facts.pci import NO_GROUP
from hftctl.tuning.places.file import new
from hftctl.tuning.setting import SERVICE, Argument, Setting, Situation, Skipped, Wish

DRIVER = "vfio-pci"
MODULES = "/etc/modules-load.d/hftctl-vfio.conf"


class Vfio:
    name: ClassVar[str] = "vfio"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: named: the cards of --bind."""
        if not at.bound:
            return
        if at.facts.vendor == "intel":
            yield Argument(
                "intel_iommu=on", "a card that a program drives reaches that program's memory only", knob=self.name
            )
        yield Argument("iommu=pt", "devices that the kernel drives are not slowed down by the IOMMU", knob=self.name)
        folder = MODULES.rpartition("/")[0]
        yield Setting(f"folder:{folder}", {"folder": True}, "for the file below it", knob=self.name)
        text = f"# Written by hftctl tune; hftctl tune revert takes it away.\n{DRIVER}\n"
        yield Setting(f"file:{MODULES}", new(at.host, text), "the driver is there before the card is", knob=self.name)
        for one in at.bound:
            if one.group == NO_GROUP:
                yield Skipped(f"{one.address} to {DRIVER}", "it has no IOMMU group yet: after the reboot", self.name)
                continue
            yield Setting(
                f"driver:{one.address}", {"driver": DRIVER, "override": DRIVER}, why, persist=SERVICE,
                disruptive=f"{one.card or one.address} leaves the kernel, and its addresses with it",
                risk="no program but the one that opens it sees its packets", knob=self.name,
            )  # fmt: skip
