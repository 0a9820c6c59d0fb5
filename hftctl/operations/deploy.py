"""From a profile to a stack that stands: plan, deploy, and apply of a saved plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

from hftctl.errors import PlanStale, UsageError
from hftctl.operations import build, schema_gate
from hftctl.operations.request import Asked, request
from hftctl.operations.rollout import roll
from hftctl.operations.standing import last_rollout, open_target
from hftctl.operations.terms import RolloutResult, TargetFactory, silent
from hftctl.plan import saved
from hftctl.plan.diff import diff
from hftctl.release import Release, code_artifacts, schema_range

IMAGES = ("compose", "kubernetes")  # the targets that run images; the others what is installed here


def make_release(profile: Mapping[str, Any], *, name: str | None = None, tag: str | None = None) -> Release:
    """`profile` is resolved: plain JSON values, every key present."""
    target = str(profile["target"])
    if tag is not None and target == "local":
        raise UsageError("--tag names images; the local target runs the code that is installed here")
    if target in IMAGES:
        from hftctl.targets.compose import images

        artifacts = images.references(profile, tag=tag)
    else:
        artifacts = code_artifacts()
    return Release(
        deployment=name or str(profile["name"]),
        target=target,
        environment=str(profile["environment"]),
        profile=profile,
        artifacts=artifacts,
        schema=schema_range(),
    )


def _of_image(release: Release, tag: str | None) -> Release:
    """One that runs an image by name has that image's migrations, and not those of the code here."""
    if tag is None or (release.target == "kubernetes" and not release.profile["kubernetes"]["shares_docker"]):
        return release  # what a registry has is not looked into: there it is the code here that was pushed
    from hftctl.targets.compose import building, images

    return replace(release, schema=building.schema_of(release.artifacts[images.STACK]) or release.schema)


def plan(
    profile: Mapping[str, Any],
    *,
    targets: TargetFactory = open_target,
    name: str | None = None,
    tag: str | None = None,
) -> saved.SavedPlan:
    """The difference between the profile and what stands; nothing is changed, no lock is taken."""
    release = _of_image(make_release(profile, name=name, tag=tag), tag)
    target = targets(release.target, release.deployment)
    schema_gate.findings(release, "deploy", target.revisions())
    return saved.make(release, diff(target.desired(release), target.observe()), rollout=last_rollout(target))


def deploy(
    profile: Mapping[str, Any],
    *,
    targets: TargetFactory = open_target,
    name: str | None = None,
    tag: str | None = None,
    no_build: bool = False,
    why: str = "",
    **asked: Unpack[Asked],
) -> RolloutResult:
    """Bring the profile up, or to where it differs. Raises before the first write; after it, the result says all."""
    if not (no_build or asked.get("dry_run")):
        progress = asked.get("progress", silent)
        if profile["target"] not in IMAGES:
            build.build_if_stale(progress=progress)
        elif tag is None and (profile["target"] == "compose" or profile["kubernetes"]["shares_docker"]):
            build.build_image(profile["images"], progress=progress)
    release = _of_image(make_release(profile, name=name, tag=tag), tag)
    target = targets(release.target, release.deployment)
    findings = schema_gate.findings(release, "deploy", target.revisions())
    how = request("deploy", why or f"deploy of profile {profile['name']}", release, asked, findings=findings)
    return roll(target, release, how)


def apply_plan(plan: saved.SavedPlan, *, targets: TargetFactory = open_target, **asked: Unpack[Asked]) -> RolloutResult:
    """Apply exactly the saved plan, or refuse with PlanStale before the first write."""
    release = plan.release
    if release.target == "local" and (now := code_artifacts()) != release.artifacts:
        moved = ", ".join(sorted(name for name in now if now[name] != release.artifacts.get(name)))
        raise PlanStale(
            f"cannot apply the plan for '{release.deployment}': the installed code has changed since ({moved})",
            hint="make it again: hftctl plan --save FILE",
        )
    how = request("apply", f"apply of a plan with release {release.hash[:12]}", release, asked, plan=plan)
    return roll(targets(release.target, release.deployment), release, how)
