"""What every kind of place can do, and which kind a subject belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hftctl.errors import Failed
from hftctl.plan.change import Spec
from hftctl.tuning.host import Host


class Unchangeable(Failed):
    """The kernel or a driver keeps this one to itself. Not a reason to take everything else back."""


class Kind(Protocol):
    lasting: bool  # what is written survives a reboot

    def read(self, host: Host, where: str) -> Spec | None:
        """How it is; None where it is not there. Reads only."""

    def write(self, host: Host, where: str, spec: Spec | None, live: Spec | None) -> None:
        """Make it so, `live` being how it is. Raises HftctlError or OSError, and then it is as it was where possible."""

    def settle(self, host: Host, where: str) -> None:
        """After somebody died while writing: take away what only a death leaves, repeat what follows a write."""

    def ours(self, live: Spec | None, before: Spec | None, written: Sequence[Spec | None]) -> bool:
        """Whether `live` is something that we wrote, or were about to write."""


def split(subject: str) -> tuple[str, str]:
    kind, _, where = subject.partition(":")
    return kind, where
