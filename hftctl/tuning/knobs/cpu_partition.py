"""A partition of CPUs: hft.slice has the isolated CPUs alone, from now on and without a reboot.

isolcpus keeps the scheduler from moving anybody there; a partition keeps everybody else out who asks for those CPUs, too, and
only who is started in the slice gets them. The tick stays: nohz_full is the kernel's command line's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning import cpu_list
from hftctl.tuning.places.file import new
from hftctl.tuning.places.partition import GROUPS
from hftctl.tuning.setting import SERVICE, Setting, Situation, Skipped, Wish

SLICE = "hft.slice"
UNIT = f"/etc/systemd/system/{SLICE}"
WANTED = f"/etc/systemd/system/multi-user.target.wants/{SLICE}"
FIRST_KERNEL = (6, 1)  # that knows isolated partitions; older ones of RHEL have been taught


class CpuPartition:
    name: ClassVar[str] = "cpu-partition"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: isolated."""
        if lacking := _lacking(at):
            yield Skipped(f"partition of {SLICE}", lacking, self.name)
            return
        risk = f"only what is started in {SLICE} reaches those CPUs: systemd-run --slice={SLICE}"
        yield Setting(f"file:{UNIT}", new(at.host, unit(at.layout.isolated)), why, risk=risk, knob=self.name)
        yield Setting(f"file:{WANTED}", {"link": UNIT}, "starts with the machine", knob=self.name)
        wanted = {"cpus": cpu_list.shown(at.layout.isolated), "partition": str(value)}
        yield Setting(f"partition:{SLICE}", wanted, why, persist=SERVICE, knob=self.name)


def unit(cpus: tuple[int, ...]) -> str:
    return (
        "# Written by hftctl tune; hftctl tune revert takes it away.\n"
        "[Unit]\nDescription=The isolated CPUs, for who is started here\n\n"
        f"[Slice]\nAllowedCPUs={cpu_list.shown(cpus)}\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


def _lacking(at: Situation) -> str:
    if not at.layout.divided:
        return at.layout.chosen
    if at.facts.surroundings.init != "systemd":
        return "no systemd to keep the slice"
    if "cpuset" not in (at.host.read(f"{GROUPS}/cgroup.controllers") or "").split():
        return "the cpuset controller is not among those of cgroup v2 here"
    taught = at.host.exists(f"{GROUPS}/cpuset.cpus.isolated")
    release = tuple(map(int, re.findall(r"\d+", at.facts.kernel.release)[:2]))
    return "" if taught or release >= FIRST_KERNEL else f"kernel {at.facts.kernel.release} has no isolated partitions"
