"""Drivers of network cards: no waiting for more packets before an interrupt, no gluing of packets.

Only what a driver offers. Rings and channels take the link down while they are changed; a card that keeps us connected is
never asked for that (the refusal `management-nic`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.places.ethtool import Ethtool
from hftctl.tuning.setting import SERVICE, Setting, Situation, Skipped, Wish

LINK_GOES_DOWN = {"rings", "channels"}


class NetworkCard:
    name: ClassVar[str] = "network-card"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: {"coalescing": {"adaptive_rx": 0, "rx_usecs": 0}, "offloads": {"lro": 0}, ...}."""
        for nic in at.facts.nics:
            for table, wanted in value.items():
                where = f"{nic.name}/{table}"
                live = Ethtool().read(at.host, where)
                known = {key: number for key, number in wanted.items() if live and key in live}
                if live is None or not known:
                    yield Skipped(f"{table} of {nic.name}", f"its driver ({nic.driver}) does not offer them", self.name)
                    continue
                down = f"the link of {nic.name} goes down for a moment" if table in LINK_GOES_DOWN else ""
                yield Setting(f"nic:{where}", {**live, **known}, why, persist=SERVICE, disruptive=down, knob=self.name)
