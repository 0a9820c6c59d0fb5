"""Huge pages of 2 MiB, reserved now and at each start, spread over the nodes as asked.

Per node, never over vm.nr_hugepages: that one spreads them as it likes, and reports no shortage.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.places.pages import MACHINE, counter
from hftctl.tuning.setting import TMPFILES, Setting, Situation, Skipped, Wish

RISK = "that memory is gone for everything else"


class HugePages:
    name: ClassVar[str] = "huge-pages"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: {"2048": 1024}: size in KiB -> how many on the whole machine."""
        for kib, count in value.items():
            nodes = [node for node in at.facts.nodes if node.cpus] or list(at.facts.nodes)
            if not nodes or kib not in nodes[0].pages:
                yield Skipped(f"huge pages of {kib} KiB", "this kernel or machine does not offer them", self.name)
                continue
            single = not at.host.exists(counter(f"node{nodes[0].number}/{kib}"))
            each, rest = divmod(int(count), len(nodes))
            for index, node in enumerate(nodes):
                where = f"{MACHINE if single else f'node{node.number}'}/{kib}"
                pages = each + (1 if index < rest else 0)
                # Never fewer than somebody else reserved: they are in use.
                before = at.base(f"pages:{where}")
                pages = max(pages, int(before["pages"]) if before else 0)
                yield Setting(f"pages:{where}", {"pages": pages}, why, persist=TMPFILES, risk=RISK, knob=self.name)
