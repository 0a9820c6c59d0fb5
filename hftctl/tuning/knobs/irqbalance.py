"""irqbalance, where it is installed, is told to stay off the isolated CPUs.

What it is told replaces what it would find out by itself (isolcpus, nohz_full), so it is told the union.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning import cpu_list
from hftctl.tuning.places.activation import IRQBALANCE
from hftctl.tuning.places.file import text_of
from hftctl.tuning.setting import Setting, Situation, Skipped, Wish

LINE = re.compile(r"^[ \t]*#?[ \t]*IRQBALANCE_BANNED_CPULIST=.*$", re.MULTILINE)


class Irqbalance:
    name: ClassVar[str] = "irqbalance"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: banned."""
        path = next((one for one in IRQBALANCE if at.host.exists(one)), "")
        if not path or not at.layout.divided:
            yield Skipped("irqbalance", "it is not installed" if not path else at.layout.chosen, self.name)
            return
        banned = {*at.layout.isolated, *at.facts.kernel.isolated, *(at.facts.kernel.nohz_full or ())}
        line = f"IRQBALANCE_BANNED_CPULIST={cpu_list.shown(banned - set(at.layout.housekeeping))}"
        subject = f"file:{at.host.real(path)}"
        before = at.base(subject)
        text = text_of(before)
        changed = LINE.sub(line, text, count=1) if LINE.search(text) else f"{text.rstrip()}\n{line}\n".lstrip()
        yield Setting(
            subject, {**(before or {}), "text": changed}, why, knob=self.name, disruptive="irqbalance restarts"
        )
