"""NAPI: how long a card's interrupt is put off while packets come, and who works on them.

`napi_defer_hard_irqs` with `gro_flush_timeout` gathers packets of a busy card. Beside a program that polls by itself
(SO_PREFER_BUSY_POLL) that saves interrupts; without one each packet waits until the timer is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.facts.nics import NETS
from hftctl.tuning.knobs.offered import kernel
from hftctl.tuning.setting import SERVICE, Situation, Skipped, Wish

RISKS = {
    "gro_flush_timeout": "a packet waits up to so many nanoseconds for more of them",
    "threaded": "a packet waits until the scheduler runs its thread",
}


class InterruptDeferral:
    name: ClassVar[str] = "interrupt-deferral"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: {"napi_defer_hard_irqs": 2, "gro_flush_timeout": 20000, "threaded": 1}; the timeout in ns."""
        if not at.facts.nics:
            yield Skipped("interrupt deferral", "no network card", self.name)
        for nic in at.facts.nics:
            for file, wanted in value.items():
                risk = RISKS.get(file, "") if wanted else ""
                path = f"{NETS}/{nic.name}/{file}"
                if file == "threaded" and not nic.up and at.host.read(path) != str(wanted):
                    # A driver that is down has nothing to make threads for, and the kernel refuses.
                    yield Skipped(f"threads of {nic.name}", "its link is down", self.name)
                    continue
                yield kernel(at, path, str(wanted), why, knob=self.name, persist=SERVICE, risk=risk)
