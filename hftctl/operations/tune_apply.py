"""Tune a host: plan, refuse, confirm, lock, remember what stands, journal, write, read back, record; or take it back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hftctl.errors import Failed, HftctlError, Interrupted, NotFound, NotReverted, Refused
from hftctl.operations.host import open_host
from hftctl.operations.rollout import actor, new_id
from hftctl.operations.terms import Report, silent
from hftctl.operations.tune_plan import Asked, TunePlan, compute
from hftctl.plan.change import Change, Plan
from hftctl.plan.execute import Execution, Failure, Limits, Stopped
from hftctl.plan.interrupts import Interrupts
from hftctl.plan.journal import Rollout
from hftctl.targets.flock import hold
from hftctl.tuning.actuator import HostActuator
from hftctl.tuning.boot.wishes import by_hand
from hftctl.tuning.host import Host
from hftctl.tuning.places.registry import place
from hftctl.tuning.state import Applied, HostState, Standing

WAIT_S = 10.0  # for a place to read as written
AT_A_START = ("plan-only", "cpu-absent", "memory-short")  # the others are about files, which a start leaves alone


@dataclass(frozen=True)
class TuneResult:
    verb: str  # apply, revert
    host: str
    result: str  # ready | unchanged | planned | reverted | failed
    plan: Plan
    profile: str = ""
    cause: str = ""
    left: tuple[str, ...] = ()  # what stands that should not
    reboot: tuple[str, ...] = ()  # kernel parameters that only a reboot brings, or takes away
    before_reboot: str = ""  # what has to be done before one brings them
    duration_s: float = 0.0

    @property
    def error(self) -> HftctlError | None:
        again = f"try again: hftctl tune {self.verb}"
        match self.result:
            case "reverted":
                return Failed(
                    f"cannot {self.verb} '{self.profile}' to {self.host}: {self.cause} (everything is as it was before)"
                )
            case "failed" if self.verb == "revert" and not self.cause:
                hint = "look at them; to overwrite them: hftctl tune revert --force=foreign-edit"
                return NotReverted(
                    f"{self.host} is reverted but for what somebody else changed: {'; '.join(self.left)}", hint=hint
                )
            case "failed":
                stands = f"; {'; '.join(self.left)}" if self.left else ""
                return NotReverted(f"cannot {self.verb} on {self.host}: {self.cause}{stands}", hint=again)
        return None


Confirm = Callable[[TunePlan], bool]


def apply(
    root: Path,
    asked: Asked,
    *,
    confirm: Confirm,
    progress: Report = silent,
    lock_wait_s: float = 0.0,
    dry_run: bool = False,
    boot: bool = False,
) -> TuneResult:
    """`boot`: what is applied already, once more after a start of the machine: values that no file keeps. Asks nobody."""
    started = time.monotonic()
    host = open_host(root)
    state = HostState(host)
    if boot and state.applied is not None:
        asked = replace(asked, forced=state.applied.forced)
    made = compute(host, state, asked)
    if boot and state.applied is None and state.journal.unsettled() is None:
        return TuneResult("apply", made.facts.host_name, "unchanged", Plan(()), cause="nothing is applied on this host")
    if _nothing_to_do(state, made):
        return _result(made, "unchanged", started)
    _refuse(made, boot=boot)
    if dry_run:
        return _result(made, "planned", started)
    need_rights(host)
    if not boot and not confirm(made):
        raise Refused("tune apply was declined; nothing was changed")
    with hold(
        state.lock,
        deployment=f"the tuning of {made.facts.host_name}",
        holder=actor(),
        why="tune apply",
        wait_s=lock_wait_s,
    ):
        state = HostState(host)
        if boot:
            _roll_back(state, progress)
            if state.applied is None:
                return replace(_result(made, "unchanged", started), cause="what was interrupted is taken back")
        again = compute(host, state, asked)
        if not boot and again.plan.pending != made.plan.pending and not confirm(again):
            raise Refused("tune apply was declined; nothing was changed")
        _refuse(again, boot=boot)
        return _apply(state, _only_runtime(again) if boot else again, progress, started)


def need_rights(host: Host) -> None:
    if host.live and os.geteuid() != 0:
        raise NotFound(f"cannot change this host as user {os.geteuid()}: root is needed", hint="run it with sudo")


def _nothing_to_do(state: HostState, made: TunePlan) -> bool:
    applied = state.applied
    asked = made.asked
    same = applied is not None and (applied.profile, applied.isolate, applied.only, applied.bind) == (
        asked.profile,
        asked.isolate,
        asked.only,
        asked.bind,
    )
    return not made.plan.pending and same and state.journal.unsettled() is None


def _refuse(made: TunePlan, *, boot: bool) -> None:
    against = [one for one in made.against if not boot or one.code in AT_A_START]
    if not against:
        return
    said = "; ".join(f"{one.message} [{one.code}]" for one in against)
    error = Refused(
        f"cannot tune {made.facts.host_name}: {said}",
        hint="; ".join(f"{one.fix} (or --force={one.code})" if one.forceable else one.fix for one in against),
    )
    error.details = {"refusals": [one.code for one in against]}  # type: ignore[attr-defined]
    raise error


def _only_runtime(made: TunePlan) -> TunePlan:
    changes = tuple(change for change in made.plan.changes if not place(change.subject)[0].lasting)
    return replace(made, plan=Plan(changes), foreign=())


def _apply(state: HostState, made: TunePlan, progress: Report, started: float) -> TuneResult:
    before = state.journal.unsettled()
    touched = before.touched if before is not None else ()
    subjects = [*(change.subject for change in made.plan.changes), *touched]
    actuator = HostActuator(state.host, subjects, state.ours)
    actuator.settle(touched)
    boot_id = made.facts.kernel.boot_id
    state.ledger.remember(made.plan.pending, boot_id, anew=made.foreign)
    rollout = begin(state, "apply", made.asked.profile, made.plan.pending)
    with Interrupts() as interrupts:
        running = execution(state, actuator, rollout, progress, interrupts)
        failure = run_changes(state, running, "apply", made.facts.host_name, interrupts)
        if failure is None:
            state.record(_standing(made, actuator.unchangeable, state))
            _settle(state, actuator, rollout)
            state.journal.end("ready")
            return _result(made, "ready", started)
        actuator.expect(rollout.baseline)
        left = running.revert(failure)
        _settle(state, actuator, rollout)
        state.journal.end("failed" if left else "reverted", failure.cause)
    return replace(_result(made, "failed" if left else "reverted", started), cause=failure.cause, left=left)


def _roll_back(state: HostState, progress: Report) -> None:
    """An apply that a power cut ended is taken back at the next start: the machine is what the last whole one made of it."""
    before = state.journal.unsettled()
    if before is None:
        return
    actuator = HostActuator(state.host, before.touched, state.ours)
    actuator.settle(before.touched)
    actuator.expect(before.baseline)
    with Interrupts() as interrupts:
        left = execution(state, actuator, before, progress, interrupts).revert(
            Failure(before.verb, f"{before.verb} of {before.why} was interrupted")
        )
    _settle(state, actuator, before)
    state.journal.end("failed" if left else "reverted", "taken back at the next start")
    if left:
        raise NotReverted(f"cannot take back what was interrupted: {'; '.join(left)}", hint="hftctl tune revert")


def _settle(state: HostState, actuator: HostActuator, rollout: Rollout) -> None:
    """Also what it was to change and did not come to: nothing of ours stands there."""
    subjects = {*rollout.touched, *(change.subject for change in rollout.changes)}
    state.ledger.settled({subject: actuator.read(subject) for subject in subjects})


def begin(state: HostState, verb: str, why: str, changes: Sequence[Change]) -> Rollout:
    return state.journal.begin(
        new_id(), verb=verb, actor=actor(), why=why, from_revision=0, to_release="", changes=changes,
        again=f"hftctl tune {verb}",
    )  # fmt: skip


def execution(
    state: HostState, actuator: HostActuator, rollout: Rollout, progress: Report, interrupts: Interrupts
) -> Execution:
    return Execution(
        actuator, state.journal, rollout,
        limits=Limits(timeout_s=WAIT_S, no_activity_s=WAIT_S), progress=progress, evidence=lambda _subject: (),
        interrupts=interrupts,
    )  # fmt: skip


def run_changes(
    state: HostState, running: Execution, verb: str, host_name: str, interrupts: Interrupts
) -> Failure | None:
    """Raises Interrupted at a safe point."""
    try:
        return running.apply()
    except (Stopped, KeyboardInterrupt) as error:
        how = error.signal if isinstance(error, Stopped) else f"{interrupts.received or 'SIGINT'} twice"
        state.journal.interruption(how)
        hint = f"go on: hftctl tune {verb}; back to what stood before hftctl: hftctl tune revert"
        raise Interrupted(
            f"tune {verb} on {host_name} stopped by {how}; everything begun is in its journal", hint=hint
        ) from error


def _standing(made: TunePlan, unchangeable: set[str], state: HostState) -> Applied:
    earlier = state.applied.unchangeable if state.applied is not None else ()
    return Applied(
        profile=made.asked.profile,
        isolate=made.asked.isolate,
        only=made.asked.only,
        forced=made.asked.forced,
        layout=made.layout.shown,
        arguments=tuple(one.text for one in made.wanted.arguments),
        settings=tuple(
            Standing(one.subject, one.wanted, one.why, one.needs_reboot)
            for one in made.wanted.settings
            if one.subject not in unchangeable
        ),
        unchangeable=tuple(sorted({*earlier, *unchangeable})),
        boot_id=made.facts.kernel.boot_id,
        actor=actor(),
        time_ns=time.time_ns(),
        bind=made.asked.bind,
    )


def _result(made: TunePlan, result: str, started: float) -> TuneResult:
    return TuneResult(
        verb="apply",
        host=made.facts.host_name,
        result=result,
        plan=made.plan,
        profile=made.asked.profile,
        reboot=made.pending_arguments,
        before_reboot=by_hand(made.facts.boot, made.pending_arguments),
        duration_s=time.monotonic() - started,
    )
