"""A sysctl, by its dotted name. Written to /proc/sys, and to a file of ours that is read after all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.knobs.offered import kernel
from hftctl.tuning.setting import SYSCTL, Situation, Wish

RISKS = {
    "net.core.busy_poll": "every socket that waits burns its CPU for so many microseconds",
    "net.core.busy_read": "every socket that reads burns its CPU for so many microseconds",
    "kernel.sched_rt_runtime_us": "a real-time thread that never sleeps hangs its core",
    "kernel.nmi_watchdog": "a core that hangs with interrupts off is not noticed",
    "vm.stat_interval": "memory statistics are that many seconds old",
    "kernel.numa_balancing": "memory on the wrong node stays there",
}


class Sysctl:
    name: ClassVar[str] = "sysctl"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: {"net.core.rmem_max": 134217728}; `HOUSEKEEPING` stands for that list of CPUs."""
        from hftctl.tuning import cpu_list

        for key, wanted in value.items():
            text = str(wanted).replace("HOUSEKEEPING", cpu_list.shown(at.layout.housekeeping))
            yield kernel(at, path_of(key), text, why, knob=self.name, persist=SYSCTL, risk=RISKS.get(key, ""))


def path_of(key: str) -> str:
    """A dot in an interface's name is written as a slash, as sysctl itself has it."""
    return "/proc/sys/" + key.translate(str.maketrans("./", "/."))


def key_of(path: str) -> str:
    return path.removeprefix("/proc/sys/").translate(str.maketrans("./", "/."))
