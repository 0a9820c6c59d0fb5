"""How a host stands, at a glance. Reads only, and little: it is asked often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hftctl.operations.host import open_host
from hftctl.operations.tune_verify import GOOD, PENDING, Verdict, verify
from hftctl.targets.flock import holder
from hftctl.tuning.capabilities import Capability, capabilities
from hftctl.tuning.dead_knobs import DeadKnob, found
from hftctl.tuning.facts.gather import gather
from hftctl.tuning.host_profiles.catalog import fitting
from hftctl.tuning.state import HostState


@dataclass(frozen=True)
class Glance:
    host: str
    profile: str  # that is applied; empty: none
    fits: str  # the profile that fits this host
    layout: str
    applied_ns: int
    actor: str
    places: int  # that are as the profile wants them
    bad: tuple[str, ...]  # sentences
    remembered: int  # places whose state before hftctl is kept
    interrupted: str
    locked_by: str
    plan_only: str
    capabilities: tuple[Capability, ...]
    dead: tuple[DeadKnob, ...]


def show(root: Path) -> Glance:
    host = open_host(root)
    state = HostState(host)
    facts = gather(host)
    applied, last = state.applied, state.journal.unsettled()
    verdicts = verify(root).verdicts if applied is not None else ()
    return Glance(
        host=facts.host_name,
        profile=applied.profile if applied is not None else "",
        fits=fitting(facts).name,
        layout=applied.layout if applied is not None else "",
        applied_ns=applied.time_ns if applied is not None else 0,
        actor=applied.actor if applied is not None else "",
        places=sum(one.answer in GOOD for one in verdicts),
        bad=tuple(_sentences(verdicts)),
        remembered=len(state.ledger.origins),
        interrupted=f"{last.verb} of {last.why}" if last is not None else "",
        locked_by=holder(state.lock),
        plan_only=facts.plan_only,
        capabilities=tuple(capabilities(host, facts)),
        dead=tuple(found(host, facts)),
    )


def _sentences(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """One for all that waits for the same thing."""
    waiting = [one.subject.partition(":")[2] for one in verdicts if one.answer == PENDING]
    if waiting:
        yield f"a reboot is needed for {' '.join(waiting)}"
    for one in verdicts:
        if one.answer not in (*GOOD, PENDING):
            yield f"{one.subject} {one.answer}: {one.message}"
