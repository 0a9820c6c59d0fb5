"""What stands, against what was recorded; what happened; what the components say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hftctl.errors import Degraded, HftctlError
from hftctl.operations.standing import endpoint_of, last_revision, open_standing, open_target
from hftctl.operations.terms import TargetFactory
from hftctl.plan.change import Change, Op
from hftctl.plan.diff import diff
from hftctl.plan.journal import Rollout
from hftctl.release import Revision
from hftctl.targets.base import ComponentStatus, Finding, Target

ENGINE_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class PartitionStatus:
    """What an engine says about itself; `error` when it does not answer."""

    partition: int
    engine: Mapping[str, Any]
    error: str = ""


@dataclass(frozen=True)
class StatusReport:
    deployment: str
    target: str
    environment: str
    state: str  # ready | degraded | halted | stopped | paused | interrupted | empty
    message: str  # one sentence: why it is not ready
    endpoint: str
    revision: Revision | None
    components: tuple[ComponentStatus, ...]
    partitions: tuple[PartitionStatus, ...]
    rollout: Rollout | None  # one that never ended
    findings: tuple[Finding, ...]
    hint: str = ""

    @property
    def error(self) -> HftctlError | None:
        if self.state in ("ready", "stopped"):
            return None
        return Degraded(f"'{self.deployment}' on {self.target} is {self.state}: {self.message}", hint=self.hint)


@dataclass(frozen=True)
class History:
    deployment: str
    target: str
    revisions: tuple[Revision, ...]  # oldest first
    rollouts: tuple[Rollout, ...]  # those the journal still keeps, oldest first


def status(name: str | None, *, targets: TargetFactory = open_target) -> StatusReport:
    """Reads only: what is broken stays as it is, the hint says what repairs it."""
    target = open_standing(name, targets=targets)
    last = target.journal().last()
    revision = last_revision(target)
    stopped = last is not None and last.verb == "stop"
    components = tuple(_as_wanted(component, stopped) for component in target.status())
    interrupted = last if last is not None and last.open else None
    findings: tuple[Finding, ...] = ()
    if interrupted is not None and interrupted.bake and (holder := target.holder()):
        said = f"is watched while it bakes, {interrupted.verb} {interrupted.id}; {holder}"
        findings = (Finding("ok", "release", said, f"hftctl rollout status -p {target.deployment}"),)
        interrupted = None  # all its changes are made
    partitions = () if stopped else tuple(_ask(target, partition) for partition in engines(components))
    differing: Sequence[Change] = ()
    if revision is not None and not stopped and not (interrupted and interrupted.paused):
        differing = diff(target.desired(revision.release), target.observe()).pending
    state, message, hint = _verdict(target, revision, components, partitions, differing, interrupted, stopped)
    return StatusReport(
        deployment=target.deployment,
        target=target.name,
        environment=revision.release.environment if revision else "",
        state=state,
        message=message,
        endpoint=endpoint_of(target),
        revision=revision,
        components=components,
        partitions=partitions,
        rollout=interrupted,
        findings=(
            *findings,
            *_plain_engines(partitions),
            *_slow_engines(partitions),
            *_drifted(differing, target.deployment),
        ),
        hint=hint,
    )


def history(name: str | None, *, targets: TargetFactory = open_target) -> History:
    target = open_standing(name, targets=targets)
    return History(target.deployment, target.name, tuple(target.revisions()), tuple(target.journal().rollouts()))


def engines(components: Sequence[ComponentStatus]) -> list[int]:
    """Partitions, by the engines that own them. Needs no revision: halt must work in the middle of a first deploy."""
    names = [component.component for component in components]
    return sorted(int(name.removeprefix("engine-")) for name in names if name.startswith("engine-"))


def _as_wanted(component: ComponentStatus, stopped: bool) -> ComponentStatus:
    if stopped and component.state != "running":
        return replace(component, state="stopped", message="stopped on request")
    return component


def _ask(target: Target, partition: int) -> PartitionStatus:
    try:
        answer = target.ask_engine(partition, {"command": "status"}, timeout_s=ENGINE_TIMEOUT_S)
    except HftctlError as error:
        return PartitionStatus(partition, {}, error.message)
    if not answer.get("ok"):
        return PartitionStatus(partition, {}, f"{answer.get('code')}: {answer.get('message')}")
    return PartitionStatus(partition, {key: value for key, value in answer.items() if key != "ok"})


def _verdict(
    target: Target,
    revision: Revision | None,
    components: Sequence[ComponentStatus],
    partitions: Sequence[PartitionStatus],
    differing: Sequence[Change],
    interrupted: Rollout | None,
    stopped: bool,
) -> tuple[str, str, str]:
    """State, why, and the next command."""
    name = target.deployment
    if interrupted is not None:
        done = f"{len(interrupted.outcomes)} of {len(interrupted.changes)} changes made"
        if interrupted.paused:
            message = f"{interrupted.verb} {interrupted.id} by {interrupted.actor}: {interrupted.paused}"
            return "paused", message, f"{interrupted.go_on(name)}, or back: hftctl rollout abort -p {name}"
        never = f"{interrupted.verb} {interrupted.id} by {interrupted.actor} never ended"
        return "interrupted", f"{never}, {done}" if interrupted.changes else never, interrupted.go_on(name)
    if revision is None:
        last = target.journal().last()
        said, again = (last.message, last.go_on(name)) if last else ("", "hftctl deploy PROFILE")
        return "empty", f"no revision was recorded; {said}", again
    if stopped:
        running = [component.component for component in components if component.state == "running"]
        if running:
            return "degraded", f"stopped, but still running: {', '.join(running)}", f"hftctl stop -p {name}"
        return "stopped", "stopped on request; everything on disk is kept", f"hftctl start -p {name}"
    sick = [c for c in components if not (c.state == "running" and c.ready)]
    ill = [_named(c.component, c.message or c.state) for c in sick]
    silent = [_named(f"engine-{p.partition}", p.error) for p in partitions if p.error]
    missing = [change for change in differing if change.op is Op.CREATE]
    ill += [_named(c.subject, c.cause) for c in missing if c.subject not in {one.component for one in sick}]
    if ill or silent:
        return "degraded", "; ".join(ill or silent), f"hftctl start -p {name}"
    for partition in partitions:
        if why := partition.engine.get("no_room"):
            hint = "make room on that disk; orders are taken again as soon as there is some, nothing needs a restart"
            return "degraded", f"engine-{partition.partition} refuses new orders: {why}", hint
    halted = [str(p.partition) for p in partitions if p.engine.get("halted")]
    if halted:
        return (
            "halted",
            f"partition {', '.join(halted)} takes no orders, cancels pass",
            f"hftctl resume -p {name} --why TEXT",
        )
    return "ready", "", ""


def _named(subject: str, said: str) -> str:
    return said if said.startswith(subject) else f"{subject}: {said}"


def _drifted(differing: Sequence[Change], deployment: str) -> tuple[Finding, ...]:
    """What runs and is not as its revision wants it, as after an upgrade of hftctl: it works, so it is a warning."""
    return tuple(
        Finding(
            "warning", change.subject, f"differs from its revision: {change.cause}", f"hftctl start -p {deployment}"
        )
        for change in differing
        if change.op is not Op.CREATE
    )


def _plain_engines(partitions: Sequence[PartitionStatus]) -> tuple[Finding, ...]:
    plain = [p.partition for p in partitions if p.engine.get("implementation") == "python"]
    return tuple(
        Finding(
            "warning",
            f"engine-{partition}",
            "runs the plain-Python engine: correct, and many times slower",
            "install a C compiler and Python's headers, then: hftctl build, hftctl deploy",
        )
        for partition in plain
    )


def _slow_engines(partitions: Sequence[PartitionStatus]) -> tuple[Finding, ...]:
    """Engines whose decisions take longer than the profile allows. An alert: nothing is stopped for it."""
    found = [(p.partition, p.engine.get("decision_latency", {})) for p in partitions]
    return tuple(
        Finding(
            "warning",
            f"engine-{partition}",
            f"decides slowly: p99 {latency['p99_us']} us over 10 s, {latency['max_us']} us are allowed (max_latency_us)",
            "see what else uses this machine's processors, or allow more in the profile: max_latency_us",
        )
        for partition, latency in found
        if latency.get("exceeded")
    )
