"""What is done to a deployment that stands: start, stop, destroy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Unpack

from hftctl.errors import Interrupted
from hftctl.operations.request import Asked, request
from hftctl.operations.rollout import actor, new_id, roll
from hftctl.operations.rollout import confirm as confirm_
from hftctl.operations.standing import kept, last_revision, open_standing, open_target, recorded, which
from hftctl.operations.terms import Confirm, Intention, Report, RolloutResult, TargetFactory, accept, silent
from hftctl.plan.change import Plan
from hftctl.plan.diff import diff
from hftctl.plan.execute import Progress
from hftctl.targets.base import Target


@dataclass(frozen=True)
class StopResult:
    """Of stop and destroy."""

    deployment: str
    target: str
    verb: str
    result: str  # stopped | destroyed | unchanged | planned
    plan: Plan
    duration_s: float
    data: bool = False  # destroyed together with journals, database and secrets


def start(name: str | None, *, targets: TargetFactory = open_target, **asked: Unpack[Asked]) -> RolloutResult:
    """Bring the last revision up again, or what is missing of it: the same plan as a deploy, with what was recorded."""
    target = open_standing(name, targets=targets)
    last = recorded(target, "start")
    return roll(target, last.release, request("start", f"start of revision {last.number}", last.release, asked))


def stop(
    name: str | None,
    *,
    targets: TargetFactory = open_target,
    confirm: Confirm = accept,
    progress: Report = silent,
    dry_run: bool = False,
    lock_wait_s: float = 0.0,
) -> StopResult:
    """Stop all components and keep everything on disk. It is journalled, so that `status` says stopped, not failed."""
    started = time.monotonic()
    target = open_standing(name, targets=targets)
    plan, intention = _take_down("stop", target)
    if not plan.pending and _is_stopped(target):
        return StopResult(target.deployment, target.name, "stop", "unchanged", plan, time.monotonic() - started)
    if dry_run:
        return StopResult(target.deployment, target.name, "stop", "planned", plan, time.monotonic() - started)
    confirm_(confirm, intention)
    with _saying_how_to_go_on(target, "stop"), target.lock(intention.verb, wait_s=lock_wait_s):
        with record_stop(target):
            _say(progress, target, "applying", "stopping all components, the public door first", started)
            target.stop()
        _say(progress, target, "ready", "stopped; everything on disk is kept", started)
    return StopResult(target.deployment, target.name, "stop", "stopped", plan, time.monotonic() - started)


def destroy(
    name: str | None,
    *,
    data: bool = False,
    targets: TargetFactory = open_target,
    confirm: Confirm = accept,
    progress: Report = silent,
    dry_run: bool = False,
    lock_wait_s: float = 0.0,
) -> StopResult:
    """Stop and take away what a deploy wrote; journals, database and secrets only with `data`.

    With `data`, what an earlier destroy had kept goes too. Killed anywhere, the same command ends it.
    """
    started = time.monotonic()
    left_on = kept(name) if data else ""
    target = targets(left_on, str(name)) if left_on else open_standing(which(name), targets=targets)
    plan, intention = _take_down("destroy", target, data=data)
    if dry_run:
        result = StopResult(
            target.deployment, target.name, "destroy", "planned", plan, time.monotonic() - started, data
        )
        return result
    confirm_(confirm, intention)
    with _saying_how_to_go_on(target, "destroy", data=data), target.lock(intention.verb, wait_s=lock_wait_s):
        _begin(target, "destroy", data=data)
        _say(progress, target, "applying", "stopping all components, the public door first", started)
        target.stop()
        _say(
            progress,
            target,
            "applying",
            "removing" + (" everything, data included" if data else "; data stays"),
            started,
        )
        target.remove(data=data)
        _say(progress, target, "ready", "destroyed", started)
    return StopResult(target.deployment, target.name, "destroy", "destroyed", plan, time.monotonic() - started, data)


@contextmanager
def record_stop(target: Target) -> Iterator[None]:
    """A stop inside is one that was asked for: `status` says stopped, not failed."""
    _begin(target, "stop")
    yield
    target.journal().end("stopped")


@contextmanager
def _saying_how_to_go_on(target: Target, verb: str, *, data: bool = False) -> Iterator[None]:
    """Its open rollout is the record of an interruption; each component has either been stopped or still runs."""
    try:
        yield
    except KeyboardInterrupt as error:
        name = target.deployment
        back = "" if verb == "destroy" else f"; or bring it up again: hftctl start -p {name}"
        raise Interrupted(
            f"{verb} of '{name}' stopped by SIGINT: some of it may still run",
            hint=f"go on: hftctl {verb} -p {name}{' --data' if data else ''}{back}",
        ) from error


def _is_stopped(target: Target) -> bool:
    last = target.journal().last()
    return last is not None and last.verb == "stop" and not last.open


def _take_down(verb: str, target: Target, *, data: bool = False) -> tuple[Plan, Intention]:
    plan = diff({}, target.observe())
    last = last_revision(target)
    environment = last.release.environment if last else ""
    return plan, Intention(verb, target.deployment, target.name, environment, plan, data=data)


def _begin(target: Target, verb: str, *, data: bool = False) -> None:
    last = last_revision(target)
    target.journal().begin(
        new_id(),
        verb=verb,
        actor=actor(),
        why=verb,
        from_revision=last.number if last else 0,
        to_release="",
        changes=(),
        data=data,
    )


def _say(progress: Report, target: Target, state: str, message: str, started: float) -> None:
    progress(Progress(target.deployment, state, message, time.monotonic() - started))
