"""What `hftctl tune` would do to a host, and what speaks against it. Never writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hftctl.operations.host import open_host
from hftctl.plan.change import Plan, Spec
from hftctl.plan.diff import diff
from hftctl.tuning import layout as cpu_layout
from hftctl.tuning.dead_knobs import DeadKnob, found
from hftctl.tuning.facts import pci
from hftctl.tuning.facts.gather import gather, without
from hftctl.tuning.facts.model import Facts
from hftctl.tuning.host import Host
from hftctl.tuning.host_profiles.catalog import fitting, named
from hftctl.tuning.layout import Layout
from hftctl.tuning.naming import unknown
from hftctl.tuning.places.registry import place
from hftctl.tuning.refusals import CODES, Refusal, refusals, standing
from hftctl.tuning.setting import Situation
from hftctl.tuning.state import HostState
from hftctl.tuning.wanted import Wanted, wanted

BACK = "not in this host profile: back to what stood before"


@dataclass(frozen=True)
class Asked:
    """What a plan is asked for."""

    profile: str = ""  # empty: what is applied, else what fits the host
    isolate: str = ""  # CPUs; empty: computed
    only: tuple[str, ...] = ()  # knobs
    forced: tuple[str, ...] = ()  # codes of refusals
    bind: tuple[str, ...] = ()  # cards for a program to drive itself: names, or addresses on PCI


@dataclass(frozen=True)
class TunePlan:
    facts: Facts
    layout: Layout
    asked: Asked  # with the profile's name
    wanted: Wanted
    plan: Plan
    refusals: tuple[Refusal, ...]  # all that were found
    foreign: tuple[str, ...]  # files of ours that somebody else changed
    dead: tuple[DeadKnob, ...]
    interrupted: str  # the rollout before, if it did not come to an end

    @property
    def against(self) -> tuple[Refusal, ...]:
        """What keeps it from being applied."""
        return standing(self.refusals, self.asked.forced)

    @property
    def pending_arguments(self) -> tuple[str, ...]:
        """Kernel parameters that come with the next boot."""
        there = self.facts.kernel.command_line.split()
        return tuple(one.text for one in self.wanted.arguments if one.text not in there)


def plan(root: Path, asked: Asked) -> TunePlan:
    host = open_host(root)
    return compute(host, HostState(host), asked)


def compute(host: Host, state: HostState, asked: Asked) -> TunePlan:
    for code in asked.forced:
        if code not in CODES:
            raise unknown("no refusal has the code", code, CODES)
    facts = gather(host)
    applied = state.applied
    if not asked.profile and applied is not None:
        asked = replace(
            asked,
            profile=applied.profile,
            isolate=asked.isolate or applied.isolate,
            only=asked.only or applied.only,
            bind=asked.bind or applied.bind,
        )
    asked = replace(asked, bind=pci.addresses(host, facts, asked.bind))
    bound = tuple(pci.device(host, facts, address) for address in asked.bind)
    profile = named(asked.profile) if asked.profile else fitting(facts)
    left = without(facts, asked.bind)
    layout = cpu_layout.compute(
        left, profile.isolates, asked=asked.isolate, one_thread=profile.one_thread, near=[one.node for one in bound]
    )
    kept = frozenset(applied.unchangeable) if applied is not None else frozenset()
    at = Situation(host, left, layout, state.base, bound, kept)
    wish = wanted(profile, at, only=asked.only)
    difference = _difference(host, state, wish)
    foreign = tuple(
        change.subject
        for change in difference.pending
        if change.subject in state.ledger.origins
        and place(change.subject)[0].lasting
        and not state.ours(change.subject, change.before)
        and change.before != state.ledger.origins[change.subject].before
    )
    last = state.journal.unsettled()
    return TunePlan(
        facts=facts,
        layout=layout,
        asked=replace(asked, profile=profile.name),
        wanted=wish,
        plan=difference,
        refusals=refusals(at, wish, difference, foreign),
        foreign=foreign,
        dead=tuple(found(host, facts)),
        interrupted=f"{last.verb} of {last.why}" if last is not None else "",
    )


def _difference(host: Host, state: HostState, wish: Wanted) -> Plan:
    """What is wanted against what is there; what an earlier apply wrote and nobody wants any more goes back."""
    named_by = {one.subject: one for one in wish.settings}
    dropped = [subject for subject in reversed(state.ledger.origins) if subject not in named_by]
    observed = read(host, [*reversed(dropped), *named_by])
    desired: dict[str, Spec] = dict(wish.state)
    for subject in dropped:
        before = state.ledger.origins[subject].before
        if not state.ours(subject, observed.get(subject)):
            observed.pop(subject, None)  # somebody else's by now: nothing of ours is there to be taken back
        elif before is not None:
            desired[subject] = before
    changes = diff(desired, observed).changes
    why = {subject: one.why for subject, one in named_by.items()}
    return Plan(tuple(replace(change, cause=why.get(change.subject, BACK)) for change in changes))


def read(host: Host, subjects: Collection[str]) -> dict[str, Spec]:
    """How places are; those that are not there are left out."""
    found: Mapping[str, Spec | None] = {
        subject: place(subject)[0].read(host, place(subject)[1]) for subject in subjects
    }
    return {subject: spec for subject, spec in found.items() if spec is not None}
