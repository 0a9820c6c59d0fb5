"""Packets: received ones are worked on by housekeeping CPUs, whichever the card chose; sent ones go by a queue of their CPU.

Without XPS a packet's queue follows from its flow, so that two engines meet at the lock of one queue while others are free.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning import cpu_list
from hftctl.tuning.facts.model import Nic
from hftctl.tuning.facts.nics import NETS
from hftctl.tuning.knobs.offered import kernel
from hftctl.tuning.setting import SERVICE, SYSCTL, Situation, Skipped, Wish

SPREAD = "each CPU sends by a queue of its own, the engines' first; shared only where queues are fewer"
DEFAULT = "/proc/sys/net/core/rps_default_mask"


class PacketSteering:
    name: ClassVar[str] = "packet-steering"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: {"receive": "housekeeping", "transmit": "spread"}: RPS of every receive queue, XPS of every transmit queue."""
        if not at.layout.divided or not at.facts.nics:
            yield Skipped("packet steering", "no network card" if at.layout.divided else at.layout.chosen, self.name)
            return
        mask = at.layout.housekeeping_mask
        yield kernel(
            at, DEFAULT, mask, "cards that come later, those of containers too", knob=self.name, persist=SYSCTL
        )
        for nic in at.facts.nics:
            for queue in range(nic.receive_queues):
                path = f"{NETS}/{nic.name}/queues/rx-{queue}/rps_cpus"
                yield kernel(at, path, mask, why, knob=self.name, persist=SERVICE)
            if nic.transmit_queues > 1:  # of a single one the kernel offers no choice
                yield from self._transmit(nic, at)

    def _transmit(self, nic: Nic, at: Situation) -> Iterator[Wish]:
        for queue, cpus in enumerate(spread((*at.layout.preferred, *at.layout.housekeeping), nic.transmit_queues)):
            if cpus:  # an empty mask would take a driver's own choice away and put none in its place
                mask = cpu_list.mask(cpus, width=max(cpus) + 1)
                path = f"{NETS}/{nic.name}/queues/tx-{queue}/xps_cpus"
                yield kernel(at, path, mask, SPREAD, knob=self.name, persist=SERVICE)


def spread(cpus: tuple[int, ...], queues: int) -> list[tuple[int, ...]]:
    """In turn, so that the first CPUs share last."""
    return [cpus[queue::queues] for queue in range(queues)]
