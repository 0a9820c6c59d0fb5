"""SMT: the second thread of a core shares its caches and ports with the first, and is felt there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.knobs.offered import kernel
from hftctl.tuning.setting import SERVICE, Situation, Skipped, Wish

CONTROL = "/sys/devices/system/cpu/smt/control"


class Smt:
    name: ClassVar[str] = "smt"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: off."""
        if at.facts.smt not in {"on", "off"}:
            yield Skipped("SMT", f"it cannot be changed here: {at.facts.smt}", self.name)
            return
        yield kernel(
            at, CONTROL, str(value), why, knob=self.name, persist=SERVICE,
            disruptive="half of the CPUs go away: what is pinned to them moves", risk="half as many CPUs",
        )  # fmt: skip
