"""What is done to a deployment that stands, by a rollout like any other: scale, restart, rollback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Unpack

from hftctl.errors import NotFound, UsageError
from hftctl.operations import schema_gate
from hftctl.operations.request import Asked, request
from hftctl.operations.rollout import roll
from hftctl.operations.standing import open_standing, open_target, recorded
from hftctl.operations.terms import RolloutResult, TargetFactory
from hftctl.release import Release, Revision, code_artifacts, schema_range
from hftctl.targets.base import Finding, Target

SCALED = {"gateway": "gateways"}  # component -> the profile's key for how many
SCALED_MAX = 64
WHY_NOT = {
    "engine": "each partition has one, the single writer of its journal; more engines are more partitions in the profile",
    "persister": "each partition has one",
    "postgres": "this target has one",
    "redis": "this target has one",
    "nginx": "this target has one; its workers are the profile's system.max_workers",
    "supervisor": "each deployment has one",
}


def scale(
    name: str | None, wanted: Mapping[str, int], *, targets: TargetFactory = open_target, **asked: Unpack[Asked]
) -> RolloutResult:
    """As many of a component as wanted: the last revision with another number in its profile, a new revision."""
    for component, count in wanted.items():
        if component not in SCALED:
            known = f"cannot scale {component}: {WHY_NOT.get(component, 'there is no such component')}"
            raise UsageError(known, hint=f"what can be scaled: {', '.join(SCALED)}")
        if not 1 <= count <= SCALED_MAX:
            raise UsageError(f"cannot scale {component} to {count}: 1 to {SCALED_MAX} are possible")
    target = open_standing(name, targets=targets)
    last = recorded(target, "scale").release
    profile = {**last.profile, **{SCALED[component]: count for component, count in wanted.items()}}
    release = replace(last, profile=profile)
    what = ", ".join(f"{component} {last.profile[SCALED[component]]} -> {count}" for component, count in wanted.items())
    how = request("scale", f"scale of {what}", release, asked, findings=other_code(release))
    return roll(target, release, how)


def restart(
    name: str | None, components: Sequence[str] = (), *, targets: TargetFactory = open_target, **asked: Unpack[Asked]
) -> RolloutResult:
    """Start components of the last revision anew, all without a name; a kind (`gateway`) means each of it."""
    target = open_standing(name, targets=targets)
    last = recorded(target, "restart")
    subjects = _meant(target, last.release, components)
    why = f"restart of {', '.join(components) or 'everything'}"
    how = request("restart", why, last.release, asked, restarts=subjects, findings=other_code(last.release))
    return roll(target, last.release, how)


def rollback(
    name: str | None, number: int | None = None, *, targets: TargetFactory = open_target, **asked: Unpack[Asked]
) -> RolloutResult:
    """Back to an earlier revision's configuration, as a new revision. Data and credentials stay as they are now."""
    target = open_standing(name, targets=targets)
    last = recorded(target, "roll back")
    before = [revision for revision in target.revisions() if revision.number < last.number]
    if number is None and not before:
        raise NotFound(
            f"cannot roll back '{target.deployment}': revision {last.number} is its first",
            hint=f"hftctl history -p {target.deployment}",
        )
    wanted = before[-1].number if number is None else number
    found = next((revision for revision in target.revisions() if revision.number == wanted), None)
    if found is None:
        numbers = ", ".join(str(revision.number) for revision in target.revisions())
        raise NotFound(f"cannot roll back '{target.deployment}': it has no revision {wanted}; there are {numbers}",
                       hint=f"hftctl history -p {target.deployment}")  # fmt: skip
    release, findings = _runnable(found.release, target.revisions())
    return roll(
        target, release, request("rollback", f"rollback to revision {wanted}", release, asked, findings=findings)
    )


def other_code(release: Release) -> tuple[Finding, ...]:
    """What is started anew on this machine runs the code that is installed, whatever the revision ran before."""
    if release.target != "local" or dict(release.artifacts) == code_artifacts():
        return ()
    message = "the installed code is another one than the revision's, and what is started now runs it"
    fix = "to have it everywhere and recorded: hftctl deploy"
    return (Finding("warning", "code", message, fix),)


def _runnable(release: Release, revisions: Sequence[Revision]) -> tuple[Release, tuple[Finding, ...]]:
    """An earlier release as it can run today: on the local target with the code that is installed, on the schema there is."""
    findings: list[Finding] = []
    if release.target == "local":
        now = code_artifacts()
        if dict(release.artifacts) != now:
            message = "its code is not installed any more: its configuration comes back, and runs on the installed code"
            findings.append(Finding("warning", "code", message, "install that version again, then: hftctl deploy"))
        release = replace(release, artifacts=now, schema=schema_range())
    return release, (*findings, *schema_gate.findings(release, "roll back", revisions))


def _meant(target: Target, release: Release, components: Sequence[str]) -> list[str]:
    there = [subject for subject in target.desired(release) if not subject.startswith("schema-")]
    names = {subject: {subject, subject.rpartition("-")[0] or subject} for subject in there}
    unknown = [one for one in components if not any(one in called for called in names.values())]
    if unknown:
        asked = ", ".join(one or repr(one) for one in unknown)
        raise NotFound(
            f"cannot restart {asked}: '{target.deployment}' has no such component; there are {', '.join(there)}",
            hint=f"hftctl status -p {target.deployment}",
        )
    return [subject for subject in there if not components or names[subject] & set(components)]
