"""Interrupts keep to housekeeping CPUs, those of a network card to its own node's.

Found by who asks for them, since numbers change; written again at each start and whenever a card appears. Where irqbalance
runs it moves them all the time, and would be taken for somebody who undoes us: then the knob irqbalance tells it where not to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning import cpu_list
from hftctl.tuning.knobs.offered import kernel
from hftctl.tuning.places.interrupt import Interrupt, numbers
from hftctl.tuning.setting import SERVICE, Setting, Situation, Skipped, Wish

DEFAULT = "/proc/irq/default_smp_affinity"


class Interrupts:
    name: ClassVar[str] = "interrupts"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: housekeeping."""
        keeping = at.layout.housekeeping
        if not at.layout.divided:
            yield Skipped("interrupts", at.layout.chosen, self.name)
            return
        mask = at.layout.housekeeping_mask
        yield kernel(at, DEFAULT, mask, "interrupts that come later", knob=self.name, persist=SERVICE)
        if "irqbalance" in at.facts.surroundings.services:
            yield Skipped(
                "single interrupts", "irqbalance runs and places them; it is told which CPUs to leave alone", self.name
            )
            return
        node_of = {cpu.number: cpu.node for cpu in at.facts.cpus}
        of_card = {number: nic for nic in at.facts.nics for number in nic.interrupts}
        for name, number in numbers(at.facts.interrupts).items():
            nic = of_card.get(int(number))
            near = [cpu for cpu in keeping if nic is not None and node_of.get(cpu) == nic.node] or keeping
            subject = f"interrupt:{name}"
            if subject in at.unchangeable:
                yield Skipped(
                    subject, "the kernel manages it and refused before; isolcpus=managed_irq keeps it off", self.name
                )
            elif Interrupt().read(at.host, name) is not None:
                yield Setting(subject, {"cpus": cpu_list.shown(near)}, why, persist=SERVICE, knob=self.name)
