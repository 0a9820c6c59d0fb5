"""The clock behind clock_gettime: the processor's own counter, which is read without asking anybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.knobs.offered import kernel
from hftctl.tuning.setting import TMPFILES, Situation, Skipped, Wish

CURRENT = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
STABLE = ("constant_tsc", "nonstop_tsc")


class Clocksource:
    name: ClassVar[str] = "clocksource"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: tsc."""
        kernel_ = at.facts.kernel
        if value not in kernel_.clocksources:
            yield Skipped("clock", f"{value} is not offered: {', '.join(kernel_.clocksources) or 'none'}", self.name)
        elif value == "tsc" and (lacking := [flag for flag in STABLE if flag not in at.facts.flags]):
            yield Skipped("clock", f"the tsc of this processor is not steady ({', '.join(lacking)} missing)", self.name)
        else:
            yield kernel(at, CURRENT, value, why, knob=self.name, persist=TMPFILES)
