"""What a knob answers with: the states it wants of places on a host, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from hftctl.plan.change import Spec
from hftctl.tuning.facts.model import Facts
from hftctl.tuning.facts.pci import Device
from hftctl.tuning.host import Host
from hftctl.tuning.layout import Layout

# How a reboot finds a setting again.
SYSCTL, TMPFILES, SERVICE, STAYS = "sysctl.d", "tmpfiles.d", "service", "stays"


@dataclass(frozen=True)
class Setting:
    """One place on the host, and how it shall be."""

    subject: str  # kind:place, see places/
    wanted: Spec | None  # None: it shall not be there
    why: str
    persist: str = STAYS
    disruptive: str = ""  # what making it disturbs at that moment
    risk: str = ""  # what is given up for as long as it stands
    knob: str = ""
    needs_reboot: bool = False  # written now, in effect after the next boot


@dataclass(frozen=True)
class Argument:
    """A parameter of the kernel's command line."""

    text: str  # nohz_full=2-7
    why: str
    risk: str = ""
    knob: str = ""

    @property
    def key(self) -> str:
        return self.text.partition("=")[0]


@dataclass(frozen=True)
class Skipped:
    """A knob that this host does not offer."""

    what: str
    why: str
    knob: str = ""


Wish = Setting | Argument | Skipped


@dataclass(frozen=True)
class Situation:
    """What a knob may look at. It writes nothing."""

    host: Host
    facts: Facts
    layout: Layout
    base: Callable[[str], Spec | None]  # of a subject: how it was before we came, with what others did since
    bound: tuple[Device, ...] = ()  # cards that a program is to drive itself; not among those of the facts
    unchangeable: frozenset[str] = frozenset()  # subjects that the kernel refused to change when it was tried


class Knob(Protocol):
    name: ClassVar[str]

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """How the places behind this knob shall be for a value that a host profile gives."""
