"""How a rollout is asked for: what every verb that makes one takes, and what its journal keeps of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from hftctl.checks import samples
from hftctl.checks.canary import Pair
from hftctl.checks.slo import Sample
from hftctl.operations.proof import prove_by_order
from hftctl.operations.terms import Confirm, Report, accept, silent
from hftctl.plan import saved
from hftctl.release import Release
from hftctl.targets.base import Finding, Target

# (target, rollout id, how many partitions, whether PostgreSQL was down before) -> the orders, one per partition
Prover = Callable[[Target, str, int, bool], Sequence[Mapping[str, Any]]]

Look = Callable[[Target], Sample]


def look_at(target: Target) -> Sample:
    """What a deployment has counted until now. Raises NotFound where that cannot be read."""
    restarts = [(one.component, one.restarts) for one in target.status()]
    return samples.of(samples.read(target.endpoint()), restarts)


Compare = Callable[[Target], Pair]


def compare_at(target: Target) -> Pair:
    """What canaries and baselines have answered until now. Raises NotFound where that cannot be read."""
    text = samples.read(target.endpoint())
    return Pair(samples.answers(text, "canary"), samples.answers(text, "baseline"))


class Asked(TypedDict, total=False):
    """Keyword arguments that every verb hands on."""

    confirm: Confirm
    progress: Report
    timeout_s: float | None  # None: the profile's
    lock_wait_s: float
    wait: bool  # False: neither wait for the last component nor prove
    dry_run: bool
    prove: Prover
    bake: bool  # False: whatever the profile says, the release is not watched once it is recorded
    look: Look
    canary: bool  # False: whatever the profile says, all gateways are replaced at once
    compare: Compare
    again: str  # the command that was typed


@dataclass(frozen=True)
class Request:
    verb: str
    why: str
    prove: Prover
    confirm: Confirm = accept
    report: Report = silent
    timeout_s: float = 120.0
    lock_wait_s: float = 0.0
    wait: bool = True
    dry_run: bool = False
    bake: bool = True
    look: Look = look_at
    canary: bool = True
    compare: Compare = compare_at
    again: str = ""
    saved: saved.SavedPlan | None = None  # apply exactly this
    restarts: tuple[str, ...] = ()  # subjects to be started anew, wanted or not; nothing else is touched
    findings: tuple[Finding, ...] = ()  # what whoever confirms it should know besides


def request(
    verb: str,
    why: str,
    release: Release,
    asked: Asked,
    *,
    plan: saved.SavedPlan | None = None,
    restarts: Sequence[str] = (),
    findings: Sequence[Finding] = (),
) -> Request:
    timeout_s = asked.get("timeout_s")
    return Request(
        verb=verb,
        why=why,
        prove=asked.get("prove", prove_by_order),
        confirm=asked.get("confirm", accept),
        report=asked.get("progress", silent),
        timeout_s=float(release.profile["rollout"]["timeout_s"]) if timeout_s is None else timeout_s,
        lock_wait_s=asked.get("lock_wait_s", 0.0),
        wait=asked.get("wait", True),
        dry_run=asked.get("dry_run", False),
        bake=asked.get("bake", True),
        look=asked.get("look", look_at),
        canary=asked.get("canary", True),
        compare=asked.get("compare", compare_at),
        again=asked.get("again", ""),
        saved=plan,
        restarts=tuple(restarts),
        findings=tuple(findings),
    )
