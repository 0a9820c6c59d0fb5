"""Transparent huge pages: the kernel glues pages together behind everybody's back, and stalls who touches them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.knobs.offered import choice, kernel
from hftctl.tuning.setting import TMPFILES, Situation, Wish

PLACE = "/sys/kernel/mm/transparent_hugepage"


class TransparentHugePages:
    name: ClassVar[str] = "transparent-huge-pages"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: never, madvise or always."""
        for file in ("enabled", "defrag"):
            yield choice(at, f"{PLACE}/{file}", value, why, knob=self.name, persist=TMPFILES)
        if value != "always":
            yield kernel(at, f"{PLACE}/khugepaged/defrag", "0", why, knob=self.name, persist=TMPFILES)
