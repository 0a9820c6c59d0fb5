"""Every kind of place by its name in subjects."""

from __future__ import annotations

from hftctl.errors import DamageFound
from hftctl.tuning.places.driver import Driver
from hftctl.tuning.places.ethtool import Ethtool
from hftctl.tuning.places.file import File
from hftctl.tuning.places.folder import Folder
from hftctl.tuning.places.interrupt import Interrupt
from hftctl.tuning.places.kernel_value import KernelValue
from hftctl.tuning.places.kind import Kind, split
from hftctl.tuning.places.pages import HugePages
from hftctl.tuning.places.partition import Partition

KINDS: dict[str, Kind] = {
    "folder": Folder(),
    "file": File(),
    "kernel": KernelValue(),
    "pages": HugePages(),
    "interrupt": Interrupt(),
    "nic": Ethtool(),
    "partition": Partition(),
    "driver": Driver(),
}


def place(subject: str) -> tuple[Kind, str]:
    kind, where = split(subject)
    if kind not in KINDS:
        raise DamageFound(
            f"{subject!r} names no place on a host that this hftctl knows", hint="use the hftctl that wrote it"
        )
    return KINDS[kind], where
