"""KSM: a kernel thread that compares pages to share them. 2 gives every shared page back its own copy, and stops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.knobs.offered import kernel
from hftctl.tuning.setting import TMPFILES, Situation, Skipped, Wish

PLACE = "/sys/kernel/mm/ksm/run"


class SamePageMerging:
    name: ClassVar[str] = "same-page-merging"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: off. Where it never ran nothing is changed: 0 and 2 are the same then."""
        before = at.base(f"kernel:{PLACE}")
        if before is not None and before.get("value") in {"0", "2"}:
            yield Skipped(PLACE, "it is off already", self.name)
        else:
            yield kernel(
                at, PLACE, "2", why, knob=self.name, persist=TMPFILES, risk="shared pages need their memory again"
            )
