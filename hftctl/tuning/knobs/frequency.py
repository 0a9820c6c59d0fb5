"""Clock frequency: the governor and the preference of each policy, where the machine (not its hypervisor) decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.knobs.offered import choice, kernel
from hftctl.tuning.setting import TMPFILES, Situation, Skipped, Wish

POLICIES = "/sys/devices/system/cpu/cpufreq"
TURBO = {"/sys/devices/system/cpu/intel_pstate/no_turbo": "1", f"{POLICIES}/boost": "0"}


class Frequency:
    name: ClassVar[str] = "frequency"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: {"governor": "performance", "preference": "performance", "turbo": True}."""
        policies = at.host.names(POLICIES, "policy*")
        if not policies:
            yield Skipped("clock frequency", "no cpufreq: the firmware or the hypervisor decides", self.name)
            return
        for policy in policies:
            place = f"{POLICIES}/{policy}"
            yield choice(
                at, f"{place}/scaling_governor", value["governor"], why,
                knob=self.name, persist=TMPFILES, among=f"{place}/scaling_available_governors",
            )  # fmt: skip
            preference = f"{place}/energy_performance_preference"
            if at.host.exists(preference):
                yield choice(
                    at, preference, value["preference"], why,
                    knob=self.name, persist=TMPFILES, among=f"{place}/energy_performance_available_preferences",
                )  # fmt: skip
        if value.get("turbo") is False:
            for path, off in TURBO.items():
                if at.host.exists(path):
                    yield kernel(
                        at, path, off, "the clock does not change under load", knob=self.name, persist=TMPFILES,
                        risk="the highest frequency is lower",
                    )  # fmt: skip
