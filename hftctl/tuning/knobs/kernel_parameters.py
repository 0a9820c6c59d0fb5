"""Single kernel parameters that a host profile names with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.setting import Argument, Situation, Skipped, Wish

RISKS = {
    "mitigations=off": "any program on this machine may read the memory of any other",
    "idle=poll": "every idle CPU runs at full power, and turbo has no room",
    "nmi_watchdog=0": "a core that hangs with interrupts off is not noticed",
    "tsc=reliable": "a clock that drifts is not found out",
    "audit=0": "nothing is recorded for audits",
}
NEEDS = {"tsc=reliable": ("constant_tsc", "nonstop_tsc")}


class KernelParameters:
    name: ClassVar[str] = "kernel-parameters"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: words, such as ["nmi_watchdog=0"]."""
        for word in value:
            lacking = [flag for flag in NEEDS.get(word, ()) if flag not in at.facts.flags]
            if lacking:
                yield Skipped(word, f"this processor lacks {', '.join(lacking)}", self.name)
            else:
                yield Argument(word, why, RISKS.get(word, ""), self.name)
