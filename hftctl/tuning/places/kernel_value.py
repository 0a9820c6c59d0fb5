"""`kernel:/proc/sys/net/core/rmem_max`: a value that the kernel keeps in memory, in a file of /proc or /sys.

One write of the whole value; errno is the truth, and what is read back is what counts.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence

from hftctl.errors import Failed
from hftctl.plan.change import Spec
from hftctl.tuning import cpu_list
from hftctl.tuning.host import Host
from hftctl.tuning.places import as_kernel
from hftctl.tuning.places.kind import Unchangeable

REASONS = {
    errno.EINVAL: "the kernel does not take that value",
    errno.ENOENT: "the kernel does not know it",
    errno.EACCES: "it is read-only here",
    errno.EPERM: "the kernel keeps it to itself",
    errno.EROFS: "it is mounted read-only here",
    errno.EOPNOTSUPP: "its driver cannot do it",
    errno.EBUSY: "the kernel is busy with it",
}


class KernelValue:
    lasting = False

    def read(self, host: Host, where: str) -> Spec | None:
        text = host.read(where)
        return None if text is None else {"value": normal(where, text)}

    def write(self, host: Host, where: str, spec: Spec | None, live: Spec | None) -> None:
        if spec is None:
            return  # it was not there before: then it is the kernel's, and nobody else can take it away
        try:
            if host.live:
                write_once(host, where, str(spec["value"]))
            else:
                as_kernel.take(host, where, str(spec["value"]))
        except OSError as error:
            said = f"cannot set {where} to {spec['value']!r}: {reason(error)}"
            raise (Unchangeable if error.errno == errno.EOPNOTSUPP else Failed)(said) from error

    def settle(self, host: Host, where: str) -> None:
        as_kernel.settle(host, where)

    def ours(self, live: Spec | None, before: Spec | None, written: Sequence[Spec | None]) -> bool:
        return live in written


def write_once(host: Host, where: str, value: str) -> None:
    handle = os.open(host.at(where), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, value.encode() + b"\n")
    finally:
        os.close(handle)


def reason(error: OSError) -> str:
    said = error.strerror or str(error)
    return f"{REASONS[error.errno]} ({said})" if error.errno in REASONS else said


def normal(where: str, text: str) -> str:
    """The same value always the same text: the chosen one of several, masks without leading zeros, single blanks."""
    if chosen := re.search(r"\[([^\]]+)\]", text):
        return chosen[1]
    if as_kernel.MASKS.search(where):
        cpus = cpu_list.from_mask(text)
        return cpu_list.mask(cpus, width=max(cpus) + 1).lstrip("0") or "0" if cpus else "0"
    return " ".join(text.split())
