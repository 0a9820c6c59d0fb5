"""`interrupt:eth0-TxRx-0`: which CPUs may take an interrupt, by who asks for it: numbers change from boot to boot.

The kernel manages some interrupts itself and refuses (EIO before 6.12, EPERM since): those are told, and left.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping, Sequence

from hftctl.errors import Failed
from hftctl.plan.change import Spec
from hftctl.tuning import cpu_list
from hftctl.tuning.facts.kernel import interrupts
from hftctl.tuning.host import Host
from hftctl.tuning.places import as_kernel
from hftctl.tuning.places.kernel_value import reason, write_once
from hftctl.tuning.places.kind import Unchangeable

MANAGED = {errno.EIO, errno.EPERM}


class Interrupt:
    lasting = False

    def read(self, host: Host, where: str) -> Spec | None:
        number = numbers(interrupts(host)).get(where)
        text = host.read(f"/proc/irq/{number}/smp_affinity_list") if number is not None else None
        return None if text is None else {"cpus": cpu_list.shown(cpu_list.parse(text))}

    def write(self, host: Host, where: str, spec: Spec | None, live: Spec | None) -> None:
        number = numbers(interrupts(host)).get(where)
        if spec is None or number is None:
            return  # its device is gone, and its affinity with it
        path = f"/proc/irq/{number}/smp_affinity_list"
        try:
            (write_once if host.live else as_kernel.take)(host, path, str(spec["cpus"]))
        except OSError as error:
            said = f"cannot move interrupt {number} ({where}) to CPUs {spec['cpus']}: {reason(error)}"
            raise (Unchangeable if error.errno in MANAGED else Failed)(said) from error

    def settle(self, host: Host, where: str) -> None:
        if (number := numbers(interrupts(host)).get(where)) is not None:
            as_kernel.settle(host, f"/proc/irq/{number}/smp_affinity_list")

    def ours(self, live: Spec | None, before: Spec | None, written: Sequence[Spec | None]) -> bool:
        return live in written


def numbers(found: Mapping[str, str]) -> dict[str, str]:
    """Name -> number. A name that several have gets a count behind it, in the order of numbers."""
    names: dict[str, str] = {}
    for number in sorted(found, key=int):
        name = re.sub(r"\s+", " ", found[number]).split(", ")[0]
        again = sum(one == name or one.startswith(f"{name}#") for one in names)
        names[f"{name}#{again + 1}" if again else name] = number
    return names
