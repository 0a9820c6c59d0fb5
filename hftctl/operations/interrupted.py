"""The last rollout: how it stands; going on with one that was interrupted; going back to what stood before it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Unpack

from hftctl.errors import Degraded, HftctlError, NotFound
from hftctl.operations.changing import other_code
from hftctl.operations.request import Asked, request
from hftctl.operations.rollout import actor, confirm, last_logs, new_id, roll
from hftctl.operations.running import StopResult, destroy, stop
from hftctl.operations.standing import endpoint_of, last_revision, open_standing, open_target
from hftctl.operations.terms import Intention, RolloutResult, TargetFactory, accept, silent
from hftctl.plan.change import Plan, Spec
from hftctl.plan.diff import diff
from hftctl.plan.execute import Execution, Failure, Limits
from hftctl.plan.interrupts import Interrupts
from hftctl.plan.journal import Rollout
from hftctl.release import Release
from hftctl.targets.base import Target


@dataclass(frozen=True)
class RolloutStatus:
    deployment: str
    target: str
    state: str  # running | baking | paused | interrupted | ready | reverted | failed | stopped
    message: str
    rollout: Rollout
    holder: str  # who works on it now
    hint: str = ""

    @property
    def error(self) -> HftctlError | None:
        if self.state in {"interrupted", "paused", "failed"}:
            return Degraded(f"the last rollout of '{self.deployment}' is {self.state}: {self.message}", hint=self.hint)
        return None


def rollout_status(name: str | None, *, targets: TargetFactory = open_target) -> RolloutStatus:
    """Reads only."""
    target = open_standing(name, targets=targets)
    last, holder = _last(target), target.holder()
    done = f"{len(last.outcomes)} of {len(last.changes)} changes made" if last.changes else "no change made"
    who = f"{last.verb} {last.id} by {last.actor}"
    baking = bool(last.bake) and not last.reverting
    watched = f"{who} is baking: its release is recorded and watched for {last.bake['bake_s']:g} s" if baking else ""
    if last.open and holder:
        state, message = ("baking", watched) if baking else ("running", f"{who} is going on, {done}")
        return RolloutStatus(target.deployment, target.name, state, message, last, holder)
    which = f"-p {target.deployment}"
    ways = f"go on: {last.go_on(target.deployment)}; or back to what stood before: hftctl rollout abort {which}"
    if last.open and last.paused:
        message = f"{who} is paused: {last.paused}"
        return RolloutStatus(target.deployment, target.name, "paused", message, last, holder, ways)
    if last.open:
        amid = f", amid its revert ({last.reverting})" if last.reverting else ""
        how = f" ({last.interrupted})" if last.interrupted else ""
        message = f"{watched}, but nobody watches it{how}" if baking else f"{who} never ended{how}, {done}{amid}"
        return RolloutStatus(target.deployment, target.name, "interrupted", message, last, holder, ways)
    message = f"{who} ended {last.result}{f': {last.message}' if last.message else ''}"
    hint = ways if last.result == "failed" else ""
    return RolloutStatus(target.deployment, target.name, last.result, message, last, holder, hint)


def go_on(
    name: str | None, *, targets: TargetFactory = open_target, **asked: Unpack[Asked]
) -> RolloutResult | StopResult:
    """End what an interrupted rollout began, as it was asked for. One that ended well is left alone."""
    target = open_standing(name, targets=targets)
    last = _last(target)
    if target.journal().unsettled() is None:
        return _unchanged(target, last)
    if last.verb in {"stop", "destroy"}:
        confirm_, progress = asked.get("confirm", accept), asked.get("progress", silent)
        dry_run, lock_wait_s = asked.get("dry_run", False), asked.get("lock_wait_s", 0.0)
        if last.verb == "stop":
            return stop(
                target.deployment, targets=targets, confirm=confirm_, progress=progress, dry_run=dry_run,
                lock_wait_s=lock_wait_s,
            )  # fmt: skip
        return destroy(
            target.deployment, data=last.data, targets=targets, confirm=confirm_, progress=progress, dry_run=dry_run,
            lock_wait_s=lock_wait_s,
        )  # fmt: skip
    if not last.release:
        if last.verb == "abort":
            return abort(target.deployment, targets=targets, **asked)
        raise NotFound(
            f"cannot go on with {last.verb} {last.id}: its journal does not hold what it was to lead to",
            hint=last.go_on(target.deployment),
        )
    standing = last_revision(target)
    if last.bake and standing is not None and standing.rollout == last.id and standing.release.hash != last.to_release:
        return abort(target.deployment, targets=targets, **asked)  # its bake was lost, the way back begun
    release = Release.from_document(last.release)
    how = request(last.verb, last.why, release, asked, restarts=last.restarts, findings=other_code(release))
    return roll(target, release, how)


def abort(name: str | None, *, targets: TargetFactory = open_target, **asked: Unpack[Asked]) -> RolloutResult:
    """Back to what stood before an interrupted rollout: the last revision, or nothing before the first."""
    target = open_standing(name, targets=targets)
    last = _last(target)
    if target.journal().unsettled() is None:
        return _unchanged(target, last)
    revision = last_revision(target)
    if revision is not None and last.bake and revision.release.hash == last.to_release:
        revision = next(one for one in target.revisions() if one.number == last.bake["revision"])
    if revision is not None:
        release = revision.release
        asked = {**asked, "bake": False}
        why = f"back to revision {revision.number}, from {last.verb} {last.id}"
        return roll(target, release, request("abort", why, release, asked, findings=other_code(release)))
    return _back_to_nothing(target, asked, f"back to nothing, from {last.verb} {last.id}")


def _back_to_nothing(target: Target, asked: Asked, why: str) -> RolloutResult:
    """A first deploy that never ended: what it touched goes, data stays."""
    started = time.monotonic()

    def result(word: str, plan: Plan, rollout: str = "", left: tuple[str, ...] = ()) -> RolloutResult:
        took = time.monotonic() - started
        return RolloutResult(
            target.deployment, target.name, "abort", word, plan, endpoint_of(target), took, rollout,
            cause=why if left else "", left=left,
        )  # fmt: skip

    baseline = {subject: spec for subject, spec in _baseline(target).items() if spec is not None}
    plan = diff(baseline, {subject: spec for subject, spec in target.observe().items() if subject in _baseline(target)})
    if asked.get("dry_run"):
        return result("planned", plan)
    confirm(asked.get("confirm", accept), Intention("abort", target.deployment, target.name, "", plan))
    with target.lock(why, wait_s=asked.get("lock_wait_s", 0.0)), Interrupts() as interrupts:
        journal = target.journal()
        rollout = journal.begin(
            new_id(), verb="abort", actor=actor(), why=why, from_revision=0, to_release="", changes=()
        )
        timeout_s = asked.get("timeout_s")
        execution = Execution(
            target, journal, rollout, limits=Limits() if timeout_s is None else Limits(timeout_s=timeout_s),
            progress=asked.get("progress", silent), evidence=lambda subject: last_logs(target, subject),
            interrupts=interrupts,
        )  # fmt: skip
        left = execution.revert(Failure("", why))
        journal.end("failed" if left else "reverted", why)
    return result("failed" if left else "aborted", plan, rollout.id, left)


def _baseline(target: Target) -> Mapping[str, Spec | None]:
    last = target.journal().unsettled()
    return {} if last is None else {subject: last.baseline[subject] for subject in last.touched}


def _last(target: Target) -> Rollout:
    last = target.journal().last()
    if last is None:
        raise NotFound(f"'{target.deployment}' has no rollout", hint="hftctl deploy PROFILE")
    return last


def _unchanged(target: Target, last: Rollout) -> RolloutResult:
    revision = last_revision(target)
    return RolloutResult(
        target.deployment, target.name, last.verb, "unchanged", Plan(()), endpoint_of(target), 0.0, last.id,
        revision=revision.number if revision else None,
    )  # fmt: skip
