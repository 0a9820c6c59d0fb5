"""Idle states: how long a CPU may take to wake up.

Per CPU through power/pm_qos_resume_latency_us, where `n/a` means none but the lightest (0 would mean any). For the whole
machine a service holds /dev/cpu_dma_latency open: the kernel forgets the wish when its holder ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.knobs.offered import kernel
from hftctl.tuning.places.file import new
from hftctl.tuning.setting import TMPFILES, Setting, Situation, Skipped, Wish

UNIT = "/etc/systemd/system/hftctl-latency.service"
WANTED = "/etc/systemd/system/multi-user.target.wants/hftctl-latency.service"
RISK = "isolated CPUs draw full power when they have nothing to do"


class IdleStates:
    name: ClassVar[str] = "idle-states"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: isolated (those CPUs only) or all (a service for the whole machine too)."""
        if not at.host.names("/sys/devices/system/cpu/cpu0/cpuidle"):
            yield Skipped("idle states", "no cpuidle: the firmware or the hypervisor decides", self.name)
            return
        for cpu in at.layout.isolated:
            path = f"/sys/devices/system/cpu/cpu{cpu}/power/pm_qos_resume_latency_us"
            yield kernel(at, path, "n/a", why, knob=self.name, persist=TMPFILES, risk=RISK)
        if value != "all":
            return
        if at.facts.surroundings.init != "systemd" or not at.host.exists("/dev/cpu_dma_latency"):
            yield Skipped("/dev/cpu_dma_latency", "no systemd to hold it, or no such device", self.name)
            return
        yield Setting(
            f"file:{UNIT}",
            new(at.host, unit(at.host.program)),
            "holds the machine's wake-up time at 0 us",
            knob=self.name,
        )
        yield Setting(
            f"file:{WANTED}", {"link": UNIT}, "starts with the machine", knob=self.name, risk="all CPUs draw full power"
        )


def unit(program: str) -> str:
    return (
        "# Written by hftctl tune; hftctl tune revert takes it away.\n"
        "[Unit]\nDescription=Hold the wake-up latency of all CPUs at 0 us\n\n"
        f"[Service]\nType=simple\nExecStart={program} -m hftctl.tuning.hold_latency 0\nRestart=on-failure\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
