"""The steps every rollout takes, whatever asked for it: plan, refuse early, confirm, lock, begin, apply, prove, record.

What cannot be proved is taken back, unless the same release stood before: then taking away what was just repaired would
help nobody, and the result is `failed`, saying what stands.
"""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hftctl.errors import HftctlError, Inconclusive, Interrupted, Refused
from hftctl.operations import bake, canary
from hftctl.operations.host_contract import findings as needed
from hftctl.operations.request import Request
from hftctl.operations.standing import endpoint_of, last_revision
from hftctl.operations.terms import Confirm, Intention, RolloutResult
from hftctl.plan import saved
from hftctl.plan.change import Op, Plan, State
from hftctl.plan.diff import diff, restarting
from hftctl.plan.execute import Execution, Failure, Limits, Stopped
from hftctl.plan.interrupts import Interrupts
from hftctl.plan.journal import Rollout
from hftctl.release import Release, Revision
from hftctl.targets.base import Finding, Target

EVIDENCE_LINES = 15


def actor() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.geteuid()}"  # a container's, without a name
    return f"{user}@{socket.gethostname()}"


def new_id() -> str:
    """Sorts by time, names the rollout in logs, and stands in front of its proof's order ids."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + f"-{secrets.token_hex(3)}"


def roll(target: Target, release: Release, request: Request) -> RolloutResult:
    started = time.monotonic()
    desired = target.desired(release)
    plan = _plan(target, desired, request)
    result = RolloutResult(
        deployment=target.deployment,
        target=target.name,
        verb=request.verb,
        result="unchanged",
        plan=plan,
        endpoint="",
        duration_s=0.0,
        release=release.hash,
    )

    def ended(**fields: Any) -> RolloutResult:
        return replace(result, endpoint=endpoint_of(target), duration_s=time.monotonic() - started, **fields)

    if (standing := _done_already(target, release, plan, request)) is not None:
        return ended(revision=standing.number, rollout=standing.rollout)
    findings = (*refuse_early(target, release), *request.findings)
    if request.dry_run:
        shown = canary.shown(target, release, plan, request)
        return replace(result, result="planned", plan=shown, findings=findings, duration_s=time.monotonic() - started)
    confirm(request.confirm, _intention(target, release, request, plan, findings))
    with target.lock(request.why, wait_s=request.lock_wait_s):
        _close_recorded(target, release, request)
        moved = _plan(target, desired, request)
        if (standing := _done_already(target, release, moved, request)) is not None:
            return ended(revision=standing.number, rollout=standing.rollout)
        if moved != plan:  # somebody was faster: what was confirmed is not what would be done
            confirm(request.confirm, _intention(target, release, request, moved, findings))
        shown = canary.shown(target, release, moved, request)
        with Interrupts() as interrupts:
            end = _apply(target, release, moved, request, interrupts)
        return ended(plan=shown, findings=findings, **end)


def refuse_early(target: Target, release: Release) -> tuple[Finding, ...]:
    """Raise Refused for what would stop the release; return the warnings."""
    findings = (*target.preflight(release), *(needed(release.profile) if target.name == "local" else ()))
    problems = [finding for finding in findings if finding.level == "problem"]
    if problems:
        raise Refused(
            f"cannot deploy '{target.deployment}' to {target.name}: {'; '.join(problem.message for problem in problems)}",
            hint="; ".join(dict.fromkeys(problem.fix for problem in problems if problem.fix)),
        )
    return tuple(finding for finding in findings if finding.level != "ok")


def confirm(ask: Confirm, intention: Intention) -> None:
    if not ask(intention):
        raise Refused(f"{intention.verb} of '{intention.deployment}' was declined; nothing was changed")


def _plan(target: Target, desired: State, request: Request) -> Plan:
    observed = target.observe()
    if request.saved is not None:
        saved.check(request.saved, desired, observed, target.journal().last())
    plan = diff(desired, observed)
    if not request.restarts:
        return plan
    # what an interrupted rollout touched is brought to where it belongs, too
    return restarting(plan, request.restarts, only=target.journal().unsettled() is None)


def _intention(
    target: Target, release: Release, request: Request, plan: Plan, findings: tuple[Finding, ...]
) -> Intention:
    shown = canary.shown(target, release, plan, request)
    return Intention(request.verb, target.deployment, target.name, release.environment, shown, findings)


def _done_already(target: Target, release: Release, plan: Plan, request: Request) -> Revision | None:
    """The revision that is this release, recorded, proved and standing with its records, so that nothing is left to do."""
    if plan.pending or target.journal().unsettled() is not None or not endpoint_of(target):
        return None
    last = last_revision(target)
    if last is None or last.release.hash != release.hash or (request.wait and not last.proof.get("orders")):
        return None
    return last if all(target.readiness(change.subject).answer == "ready" for change in plan.changes) else None


def _close_recorded(target: Target, release: Release, request: Request) -> None:
    """A kill between recording a revision and ending its rollout leaves nothing to do but to say so.

    One that was killed while its release baked goes on baking it, unless something else is wanted now.
    """
    journal, last = target.journal(), last_revision(target)
    interrupted = journal.interrupted()
    if interrupted is None or last is None or last.release.hash != interrupted.to_release:
        return
    if interrupted.bake and request.bake and bake.unended(interrupted, release, last):
        return
    if interrupted.bake:
        journal.end("ready", f"recorded; {request.verb} ended its bake early")
    elif last.rollout == interrupted.id:
        journal.end("ready", "recorded; its end was written by the next command")


def _apply(target: Target, release: Release, plan: Plan, request: Request, interrupts: Interrupts) -> dict[str, Any]:
    """From the first journal entry to the last one of a rollout; returns fields of its result."""
    journal = target.journal()
    before = last_revision(target)
    baking = bake.prepare(target, release, before, request, interrupts)
    staged = canary.staged(target, release, before, plan, request)
    rollout = journal.begin(
        new_id(),
        verb=request.verb,
        actor=actor(),
        why=request.why,
        from_revision=before.number if before else 0,
        to_release=release.hash,
        changes=staged.changes,
        again=request.again,
        release=release.document(),
        restarts=request.restarts,
        canary=canary.passed_before(target, release),
    )
    seen: list[str] = []
    execution = Execution(
        target,
        journal,
        rollout,
        limits=Limits(timeout_s=request.timeout_s),
        progress=request.report,
        evidence=lambda subject: last_logs(target, subject),
        interrupts=interrupts,
        pause_ms=target.pause_ms,
        watch=canary.watcher(target, release, staged, request, interrupts, seen),
    )
    fields: dict[str, Any] = {"rollout": rollout.id, "revision": before.number if before else None, "canary": seen}
    try:
        was_down = _without_database(plan, execution)
        proofs, doubt, failure = _bring_up(target, release, plan, request, execution, rollout, was_down)
        baking = None if doubt else baking  # halted, or without its database: nothing to be learnt from figures
        if failure is None and baking is not None:
            journal.baking(baking.document())
            rollout.bake = baking.document()
        if failure is None:
            revision = _record(target, release, before, request, rollout, proofs, doubt)
            fields |= {"revision": revision.number, "proofs": proofs}
            verdict = bake.watch(target, baking, request, interrupts) if baking is not None else bake.Verdict("")
            if verdict.worse and baking is not None:
                return fields | _take_back_baked(
                    target, release, replace(revision, rollout=rollout.id), baking.back, request, execution, verdict
                )
            journal.end("ready", doubt or verdict.message)
            outcome = "inconclusive" if doubt else "ready"
            fields |= {"baked": verdict.message, "pauses": execution.pauses}
            return fields | {"result": outcome, "cause": doubt}
        return fields | _take_back(target, release, before, execution, failure)
    except canary.Paused as pause:
        journal.paused(str(pause))
        return fields | {"result": "paused", "cause": str(pause)}
    except (Stopped, KeyboardInterrupt) as error:
        how = error.signal if isinstance(error, Stopped) else f"{interrupts.received or 'SIGINT'} twice"
        journal.interruption(how)
        begun = f"{len(rollout.intents)} of {len(rollout.changes)} changes begun, none is lost"
        if rollout.bake and not rollout.reverting:
            begun = "its release is recorded and stands; nobody watches its bake"
        raise Interrupted(
            f"{request.verb} of '{target.deployment}' stopped by {how}: {begun}",
            hint=f"go on: {rollout.go_on(target.deployment)}; "
            + f"or back to what stood before: hftctl rollout abort -p {target.deployment}",
        ) from error


def _without_database(plan: Plan, execution: Execution) -> bool:
    """Whether PostgreSQL was down before we came, stays down, and this plan does not touch it.

    What needs it is not waited for then. One that was killed a moment ago and comes up again is waited for.
    """
    databases = [change.subject for change in plan.changes if change.subject.startswith("postgres-")]
    kept = set(databases) - {change.subject for change in plan.pending}
    dependents = {change.subject for change in plan.changes if change.subject.startswith(("postgres-", "persister-"))}
    return execution.excuse_without(sorted(kept), dependents)


def _bring_up(
    target: Target,
    release: Release,
    plan: Plan,
    request: Request,
    execution: Execution,
    rollout: Rollout,
    database_was_down: bool,
) -> tuple[tuple[Mapping[str, Any], ...], str, Failure | None]:
    """Apply, wait, prove: the orders it proved itself with, why that was inconclusive, or the failure."""
    try:
        target.begin(release)
    except (HftctlError, OSError) as error:
        return (), "", Failure("configuration", f"configuration could not be written: {error}")
    failure = execution.apply(wait_for_last=request.wait)
    if failure is not None or not request.wait:
        return (), "", failure
    # also those that were kept: an interrupted rollout may have left them starting
    there = [change.subject for change in plan.changes if change.op is not Op.DELETE]
    if (failure := execution.settle(there)) is not None:
        return (), "", failure
    partitions = len(release.profile["partitions"])
    try:
        return tuple(request.prove(target, rollout.id, partitions, database_was_down)), "", None
    except Inconclusive as error:
        return (), error.message, None
    except HftctlError as error:
        return (), "", Failure("proof", f"the proof by an order failed: {error.message}", last_logs(target, ""))


def _record(
    target: Target,
    release: Release,
    before: Revision | None,
    request: Request,
    rollout: Rollout,
    proofs: Sequence[Mapping[str, Any]],
    doubt: str,
) -> Revision:
    """The same release, already proved, is the same revision: a repair is no new one."""
    if before is not None and before.release.hash == release.hash and (before.proof.get("orders") or not proofs):
        return before
    proof: dict[str, Any] = {"orders": list(proofs)} if proofs else {"inconclusive": doubt} if doubt else {}
    number = before.number + 1 if before else 1
    revision = Revision(number, release, time.time_ns(), actor(), request.why, rollout.id, proof)
    target.record(revision)
    return revision


def _take_back_baked(
    target: Target,
    release: Release,
    standing: Revision,
    number: int,
    request: Request,
    execution: Execution,
    verdict: bake.Verdict,
) -> dict[str, Any]:
    """The release before as the newest revision, before anything is taken back: from then on `start` leads there too."""
    before = next(revision for revision in target.revisions() if revision.number == number)
    why = f"back to revision {number}: {verdict.message}"
    back = Revision(standing.number + 1, before.release, time.time_ns(), actor(), why, standing.rollout)
    target.record(back)

    def prove() -> tuple[str, ...]:
        try:
            proofs = request.prove(target, f"{standing.rollout}-back", len(before.release.profile["partitions"]), False)
        except HftctlError as error:
            return (f"revision {back.number} stands, but its proof by an order failed: {error.message}",)
        target.record(replace(back, proof={"orders": list(proofs)}))
        return ()

    failure = Failure("bake", verdict.message, last_logs(target, ""))
    fields = _take_back(target, release, before, execution, failure, check=prove)
    return fields | {"revision": back.number, "proofs": ()}


def _take_back(
    target: Target,
    release: Release,
    before: Revision | None,
    execution: Execution,
    failure: Failure,
    *,
    check: Callable[[], tuple[str, ...]] = tuple,
) -> dict[str, Any]:
    cause: dict[str, Any] = {"cause": failure.cause, "evidence": failure.evidence}
    if before is not None and before.release.hash == release.hash:
        target.journal().end("failed", failure.cause)
        return cause | {
            "result": "failed",
            "left": ("the same release stood before, so what could be repaired stays",),
        }
    left: tuple[str, ...] = ()
    if before is not None:
        try:
            target.begin(before.release)
        except (HftctlError, OSError) as error:
            left = (f"the configuration of revision {before.number} could not be written: {error}",)
    left += execution.revert(failure)
    left += () if left else check()
    target.journal().end("failed" if left else "reverted", failure.cause)
    return cause | {"result": "failed" if left else "reverted", "left": left}


def last_logs(target: Target, subject: str) -> tuple[str, ...]:
    """The last lines of a component (of all, without a name), oldest first."""
    try:
        lines = target.logs([subject] if subject else [], since_s=None, follow=False)
        last: dict[str, None] = {}
        for line in lines:
            shown = f"{line.component}: {line.text}"
            last.pop(shown, None)  # what is said again and again is shown once, where it was said last
            last[shown] = None
            if len(last) > EVIDENCE_LINES:
                del last[next(iter(last))]
        return tuple(last)
    except (HftctlError, OSError) as error:
        return (f"no logs of {subject or 'the components'}: {error}",)
