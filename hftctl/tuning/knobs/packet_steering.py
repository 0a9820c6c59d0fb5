"""Received packets are worked on by housekeeping CPUs, whichever the card chose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.facts.nics import NETS
from hftctl.tuning.knobs.offered import kernel
from hftctl.tuning.setting import SERVICE, Situation, Skipped, Wish


class PacketSteering:
    name: ClassVar[str] = "packet-steering"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: housekeeping: RPS of every receive queue."""
        if not at.layout.divided or not at.facts.nics:
            yield Skipped("packet steering", "no network card" if at.layout.divided else at.layout.chosen, self.name)
            return
        mask = at.layout.housekeeping_mask
        for nic in at.facts.nics:
            for queue in range(nic.receive_queues):
                path = f"{NETS}/{nic.name}/queues/rx-{queue}/rps_cpus"
                yield kernel(at, path, mask, why, knob=self.name, persist=SERVICE)
