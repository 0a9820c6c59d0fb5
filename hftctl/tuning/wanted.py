"""A host profile on a host: every place that shall be in a certain state, in the order in which they are made so."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hftctl.plan.change import State
from hftctl.tuning import persistence
from hftctl.tuning.boot import wishes as boot
from hftctl.tuning.host_profiles.model import HostProfile
from hftctl.tuning.knobs.catalog import KNOBS
from hftctl.tuning.naming import unknown
from hftctl.tuning.places.kind import split
from hftctl.tuning.setting import Argument, Setting, Situation, Skipped, Wish

# Files first, so that a reboot in the middle finds them; what may cut a link, and what only a boot reads, last.
RANKS = {"folder": 0, "file": 1, "kernel": 2, "pages": 3, "interrupt": 4, "nic": 5, "partition": 8, "driver": 9}
BOOT_RANK, LINK_RANK = 6, 7


@dataclass(frozen=True)
class Wanted:
    profile: HostProfile
    settings: tuple[Setting, ...]  # one per place, in the order they are made
    arguments: tuple[Argument, ...]  # of the kernel's command line
    skipped: tuple[Skipped, ...]  # what this host does not offer

    @property
    def state(self) -> State:
        return {one.subject: one.wanted for one in self.settings if one.wanted is not None}


def wanted(profile: HostProfile, at: Situation, *, only: Collection[str] = ()) -> Wanted:
    """`only`: names of knobs; the others are as if the profile did not name them."""
    for name in only:
        if name not in KNOBS:
            raise unknown("no knob is named", name, KNOBS)
    wishes: list[Wish] = []
    for choice in profile.choices:
        if not only or choice.knob in only:
            wishes += KNOBS[choice.knob].wishes(choice.value, choice.why, at)
    arguments = [one for one in wishes if isinstance(one, Argument)]
    wishes += boot.wishes(at, arguments)
    wishes += persistence.wishes(at, _last([one for one in wishes if isinstance(one, Setting)]))
    return Wanted(
        profile,
        tuple(sorted(_last([one for one in wishes if isinstance(one, Setting)]), key=rank)),
        tuple(arguments),
        tuple(one for one in wishes if isinstance(one, Skipped)),
    )


def rank(one: Setting) -> int:
    kind, _ = split(one.subject)
    if one.wanted is not None and "link" in one.wanted:
        return LINK_RANK
    return BOOT_RANK if one.knob == boot.KNOB and kind == "file" else RANKS[kind]


def _last(settings: Sequence[Setting]) -> list[Setting]:
    """Who names a place again means the last one; files that several knobs change are changed one after the other."""
    return list({one.subject: one for one in settings}.values())
