"""`partition:hft.slice`: a control group whose CPUs nobody else runs on, since the kernel calls it an isolated partition.

Only for as long as the group is there: its slice is a unit of systemd's, and stands before the partition is made. What the
kernel cannot give it calls `isolated invalid (reason)`, and that is what is read back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress

from hftctl.errors import Failed
from hftctl.paths import write_atomic
from hftctl.plan.change import Spec
from hftctl.tuning import cpu_list
from hftctl.tuning.host import Host
from hftctl.tuning.places import as_kernel
from hftctl.tuning.places.kernel_value import reason, write_once

GROUPS = "/sys/fs/cgroup"
KIND, CPUS = "cpuset.cpus.partition", "cpuset.cpus"
NONE = "member"  # of its parent's CPUs, like any other group
SLICE_S, POLL_S = 5.0, 0.02  # for systemd to make the group of a slice that it has just started


class Partition:
    lasting = False

    def read(self, host: Host, where: str) -> Spec | None:
        text = host.read(file(where, KIND))
        if text is None or text == NONE:
            return None
        return {"cpus": cpu_list.shown(cpu_list.parse(host.read(file(where, CPUS)) or "")), "partition": text}

    def write(self, host: Host, where: str, spec: Spec | None, live: Spec | None) -> None:
        try:
            if not host.live:
                _take(host, where, spec)
            elif spec is not None:
                _await(host, where)
                write_once(host, file(where, CPUS), str(spec["cpus"]))
                write_once(host, file(where, KIND), str(spec["partition"]))
            elif host.exists(file(where, KIND)):
                write_once(host, file(where, KIND), NONE)
        except OSError as error:
            raise Failed(f"cannot make {where} {dict(spec) if spec else NONE}: {reason(error)}") from error

    def settle(self, host: Host, where: str) -> None:
        if not host.live:
            as_kernel.settle(host, file(where, CPUS))
            as_kernel.settle(host, file(where, KIND))
            if self.read(host, where) is None:
                _take(host, where, None)

    def ours(self, live: Spec | None, before: Spec | None, written: Sequence[Spec | None]) -> bool:
        """CPUs are written before the kind: a death in between leaves one of each."""
        states = [one for one in (before, *written) if one is not None]
        if live is None:
            return None in (before, *written)
        return all(live[key] in {one[key] for one in states} for key in ("cpus", "partition"))


def file(where: str, name: str) -> str:
    return f"{GROUPS}/{where}/{name}"


def _await(host: Host, where: str) -> None:
    deadline = time.monotonic() + SLICE_S
    while not host.exists(file(where, KIND)) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _take(host: Host, where: str, spec: Spec | None) -> None:
    """A captured tree has no systemd: the group comes and goes with its partition."""
    folder = host.at(f"{GROUPS}/{where}")
    if spec is not None:
        folder.mkdir(exist_ok=True)
        for name, value in ((CPUS, spec["cpus"]), (KIND, spec["partition"])):
            write_atomic(folder / name, f"{value}\n", temporary=f".{name}.hftctl-new")
        return
    for name in (KIND, CPUS):
        with suppress(FileNotFoundError):
            os.unlink(folder / name)  # noqa: PTH108
    with suppress(OSError):
        os.rmdir(folder)  # noqa: PTH106 - only an empty one goes
