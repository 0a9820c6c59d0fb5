"""CPUs that nobody else runs on: isolcpus, nohz_full, rcu_nocbs, irqaffinity on the kernel's command line.

`nohz_full` needs a kernel built for it and a clock that keeps going; the boot CPU keeps the time and is never part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning import cpu_list
from hftctl.tuning.setting import Argument, Situation, Skipped, Wish


class Isolation:
    name: ClassVar[str] = "isolation"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: full (no balancing, no tick, no callbacks) or interrupts (managed interrupts only)."""
        isolated, keeping = cpu_list.shown(at.layout.isolated), cpu_list.shown(at.layout.housekeeping)
        if not at.layout.divided:
            yield Skipped("isolated CPUs", f"{at.layout.chosen}: {len(at.facts.online)} CPUs", self.name)
            return
        if value == "interrupts":
            yield Argument(f"isolcpus=managed_irq,{isolated}", why, knob=self.name)
            yield Argument(f"irqaffinity={keeping}", "all other interrupts keep to housekeeping CPUs", knob=self.name)
            return
        risk = "threads that are not pinned never run there; a mask of several of them leaves all on the first"
        yield Argument(f"isolcpus=managed_irq,domain,{isolated}", why, risk, self.name)
        yield Argument(
            f"rcu_nocbs={isolated}", "deferred kernel work of these CPUs is done by housekeeping ones", knob=self.name
        )
        yield Argument(
            f"irqaffinity={keeping}", "interrupts keep to housekeeping CPUs from the first moment on", knob=self.name
        )
        if at.facts.kernel.config.get("NO_HZ_FULL") == "n":
            yield Skipped("nohz_full", "this kernel is built without NO_HZ_FULL: its tick cannot be stopped", self.name)
            return
        yield Argument(
            f"nohz_full={isolated}",
            "a CPU with one thread has no timer tick",
            "system calls cost more there",
            self.name,
        )
        yield Argument("skew_tick=1", "the ticks that are left do not all come at once", knob=self.name)
        yield Argument("nosoftlockup", "no watchdog thread wakes up", "a hung CPU is not reported", self.name)
