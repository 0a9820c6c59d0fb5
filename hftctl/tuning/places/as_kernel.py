"""How a kernel would take a value: for captured trees, where files stand for what the kernel shows of its memory.

A choice in brackets stays a list with another one chosen, a mask keeps its width, a row of numbers its tabs. A value that
is not offered is refused as the kernel refuses it.
"""

from __future__ import annotations

import errno
import os
import re

from hftctl.paths import write_atomic
from hftctl.tuning import cpu_list
from hftctl.tuning.host import Host

MASKS = re.compile(r"/(cpumask|smp_affinity|default_smp_affinity|rps_cpus|xps_cpus|rps_default_mask)$")


def take(host: Host, where: str, value: str) -> None:
    before = host.read(where)
    if before is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), where)
    path = host.at(where)
    data = f"{shown(where, before, value)}\n"
    write_atomic(path, data, mode=path.stat().st_mode & 0o7777, temporary=f".{path.name}.hftctl-new")


def settle(host: Host, where: str) -> None:
    """What a death while writing leaves in a captured tree; a kernel takes a value whole or not at all."""
    if not host.live:
        path = host.at(where)
        path.with_name(f".{path.name}.hftctl-new").unlink(missing_ok=True)


def shown(where: str, before: str, value: str) -> str:
    """What is read after `value` was written where `before` stood."""
    if re.search(r"\[[^\]]+\]", before):
        offered = before.replace("[", "").replace("]", "").split()
        if value not in offered:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), value)
        return " ".join(f"[{one}]" if one == value else one for one in offered)
    if MASKS.search(where):
        digits = before.replace(",", "")
        number = sum(1 << cpu for cpu in cpu_list.from_mask(value))
        plain = f"{number:0{len(digits)}x}"
        first = len(plain) % 8
        return ",".join(filter(None, [plain[:first], *(plain[at : at + 8] for at in range(first, len(plain), 8))]))
    return "\t".join(value.split()) if "\t" in before else value
