"""Deferred work of the kernel keeps to housekeeping CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.knobs.offered import kernel
from hftctl.tuning.setting import TMPFILES, Situation, Skipped, Wish

PLACES = ("/sys/devices/virtual/workqueue/cpumask", "/sys/devices/virtual/workqueue/writeback/cpumask")


class Workqueues:
    name: ClassVar[str] = "workqueues"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: housekeeping."""
        if not at.layout.divided:
            yield Skipped("work queues", at.layout.chosen, self.name)
            return
        mask = at.layout.housekeeping_mask
        for path in PLACES:
            yield kernel(at, path, mask, why, knob=self.name, persist=TMPFILES)
