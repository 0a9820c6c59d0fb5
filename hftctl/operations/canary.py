"""Gateways of a new release take a few requests first, then more, and are judged at each step before the next one is made.

The steps are changes of the rollout like all others: canaries and fresh gateways of the release before are made, nginx gives both
the same share. So the journal names them before they are there, a revert takes them away, and whoever comes after a kill finds
them and goes on with the step that was not judged yet, or back. Too few requests are no verdict: the rollout pauses with the
requests divided as they are, until somebody says how it goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hftctl.checks.canary import Pair, Verdict, judge
from hftctl.checks.slo import Slo
from hftctl.errors import HftctlError
from hftctl.operations.request import Request
from hftctl.operations.standing import last_revision
from hftctl.plan.actuator import Answer
from hftctl.plan.change import Change, Op, Plan, State
from hftctl.plan.diff import change
from hftctl.plan.execute import Failure, Progress, Stopped
from hftctl.plan.interrupts import Interrupts
from hftctl.release import Release, Revision
from hftctl.targets.base import Target

WHOLE = 100  # percent: all gateways, which are judged by the bake
VERBS = {"deploy", "apply"}  # what goes back, or starts what was proved before, is not slowed down
LOOK_S = 1.0
LOOKS_MIN = 3  # they part a window in two, also where each takes long
STRIKES = 3  # looks in a row, so that one bad second is no verdict
UNREAD_S = 10.0


class Paused(Exception):
    """Nobody can tell whether the new gateways do well; what stands stays as it is."""


@dataclass(frozen=True)
class Staged:
    """The changes of a rollout, with those of its canary among them."""

    changes: tuple[Change, ...]
    steps: Mapping[int, int] = field(default_factory=dict)  # index of a change of nginx -> percent that it made
    beside: tuple[str, ...] = ()  # canaries and baselines


def staged(target: Target, release: Release, before: Revision | None, plan: Plan, request: Request) -> Staged:
    """The pending changes of a plan; with a canary where the profile wants one and gateways are replaced."""
    plain = Staged(plan.pending)
    wanted = [step for step in release.profile["rollout"].get("canary", []) if step < WHOLE]
    first = next((n for n, one in enumerate(plan.pending) if _replaces_gateway(one)), None)
    if not (wanted and request.canary and request.wait and request.verb in VERBS) or before is None or first is None:
        return plain
    passed = passed_before(target, release)
    left = [step for step in wanted if step not in passed]
    if before.release.hash == release.hash or not left:
        return plain
    observed = {one.subject: one.before for one in plan.changes if one.before is not None}
    beside = {name: spec for name, spec in target.canary(release, before.release, left[0]).items() if name != "nginx"}
    if not beside:
        return plain
    changes = [*plan.pending[:first], *_fresh(beside, observed)]
    steps: dict[int, int] = {}
    door = observed.get("nginx")
    for percent in left:
        spec = target.canary(release, before.release, percent)["nginx"]
        steps[len(changes)] = percent
        changes.append(Change("nginx", Op.UPDATE, door, spec, f"{percent} % of all requests to the canary"))
        door = spec
    rest = [one for one in plan.pending[first:] if one.subject not in {*beside, "nginx"}]
    after = next(one.after for one in plan.changes if one.subject == "nginx")
    changes += [one for one in rest if one.op is not Op.DELETE]
    changes.append(Change("nginx", Op.UPDATE, door, after, "all requests to the gateways"))
    changes += [one for one in rest if one.op is Op.DELETE]
    changes += [Change(name, Op.DELETE, beside[name], None, "the canary is over") for name in reversed(beside)]
    return Staged(tuple(changes), steps, tuple(beside))


def shown(target: Target, release: Release, plan: Plan, request: Request) -> Plan:
    """The plan as a person confirms it: with the steps of its canary among the changes, as they will be made."""
    found = staged(target, release, last_revision(target), plan, request)
    return Plan((*(one for one in plan.changes if one.op is Op.KEEP), *found.changes)) if found.steps else plan


def passed_before(target: Target, release: Release) -> tuple[int, ...]:
    """Steps at which an attempt that never ended found this very release good."""
    interrupted = target.journal().interrupted()
    return interrupted.canary if interrupted is not None and interrupted.to_release == release.hash else ()


def watcher(
    target: Target, release: Release, staged: Staged, request: Request, interrupts: Interrupts, told: list[str]
) -> Callable[[int], Failure | None]:
    """What is asked after each change: a failure, where the canary does worse. Raises Paused and Stopped. `told` gets verdicts."""

    def watch(index: int) -> Failure | None:
        percent = staged.steps.get(index)
        if percent is None:
            return None
        verdict = _Watch(target, release, staged, percent, request).run(interrupts)
        said = f"canary at {percent} %: {verdict.message}"
        told.append(said)
        if verdict.word == "failed":
            new = next(name for name in staged.beside if name.startswith("canary-"))
            return Failure(new, f"the {said}")
        if verdict.word == "inconclusive":
            raise Paused(said)
        target.journal().canary(percent, verdict.message)
        return None

    return watch


def _replaces_gateway(one: Change) -> bool:
    return one.op is Op.UPDATE and one.subject.startswith("gateway-")


def _fresh(beside: State, observed: State) -> list[Change]:
    """Canaries and baselines start together: where one is not as it should be, the others start anew as well."""
    found = [change(name, observed.get(name), spec) for name, spec in beside.items()]
    if all(one.op is Op.KEEP for one in found):
        return []
    return [
        Change(one.subject, Op.RESTART, one.before, one.after, "with the others of the canary")
        if one.op is Op.KEEP
        else one
        for one in found
    ]


class _Watch:
    """One step: its window, and what is seen in it."""

    def __init__(self, target: Target, release: Release, staged: Staged, percent: int, request: Request) -> None:
        self._target, self._beside, self._percent, self._request = target, staged.beside, percent, request
        self._slo = Slo.of(release.profile["rollout"])
        self._window_s = float(release.profile["rollout"]["canary_step_s"])
        self._seen: list[tuple[float, Pair]] = []
        self._started = time.monotonic()

    def run(self, interrupts: Interrupts) -> Verdict:
        self._say("watching", f"{self._percent} % of all requests for {self._window_s:g} s, judged against as many")
        deaths = self._deaths()
        strikes, unready, read_at, why_unread = 0, 0, self._started, ""
        while True:
            now = time.monotonic()
            try:
                self._seen.append((now, self._request.compare(self._target)))
                read_at = now
            except HftctlError as error:
                why_unread = error.message
            if failed := self._unready():
                unready += 1
                if unready >= STRIKES:
                    return self._end(Verdict("failed", failed))
            else:
                unready = 0
            if now - read_at >= UNREAD_S:
                return self._end(Verdict("inconclusive", f"metrics could not be read for {UNREAD_S:g} s: {why_unread}"))
            verdict = self._judged()
            strikes = strikes + 1 if verdict.word == "failed" else 0
            if strikes >= STRIKES:
                return self._end(verdict)
            self._count_down(verdict)
            over = now - self._started >= self._window_s and len(self._seen) >= LOOKS_MIN
            if over and not (strikes or unready or interrupts.received):
                return self._end(self._died(deaths) or verdict)
            if not interrupts.nap(min(LOOK_S, self._window_s / 4)):
                raise Stopped(interrupts.received)

    def _judged(self) -> Verdict:
        """Of the window so far, in two parts: what is worse must be worse in both."""
        found: list[Pair] = []
        if len(self._seen) >= LOOKS_MIN:
            (since, first), (until, last) = self._seen[0], self._seen[-1]
            middle = min(self._seen[1:-1], key=lambda one: abs(one[0] - (since + until) / 2))[1]
            found = [
                Pair(b.canary.since(a.canary), b.baseline.since(a.baseline))
                for a, b in ((first, middle), (middle, last))
            ]
        return judge(found, min_requests=self._slo.min_requests, max_error_ratio=self._slo.max_error_ratio)

    def _unready(self) -> str:
        for subject in self._beside:
            now = self._target.readiness(subject)
            if now.answer is not Answer.READY:
                return now.message if now.message.startswith(subject) else f"{subject}: {now.message}"
        return ""

    def _deaths(self) -> dict[str, int]:
        return {one.component: one.restarts for one in self._target.status() if one.component in self._beside}

    def _died(self, before: Mapping[str, int]) -> Verdict | None:
        grown = {name: count - before.get(name, 0) for name, count in self._deaths().items()}
        listed = ", ".join(f"{name} {count} times" for name, count in grown.items() if count > 0)
        if sum(max(count, 0) for count in grown.values()) > self._slo.max_restarts:
            return Verdict(
                "failed", f"died and was started again: {listed}; {self._slo.max_restarts} restarts are allowed"
            )
        return None

    def _count_down(self, verdict: Verdict) -> None:
        elapsed_s = time.monotonic() - self._started
        left = f"{self._percent} %, {max(self._window_s - elapsed_s, 0):.0f} s of {self._window_s:g} s left"
        message = f"{left}: {verdict.message}"
        self._request.report(Progress("canary", "watching", message, elapsed_s, figures=True))

    def _end(self, verdict: Verdict) -> Verdict:
        state = {"passed": "ready", "failed": "failed"}.get(verdict.word, "paused")
        self._say(state, f"{self._percent} %: {verdict.message}")
        return verdict

    def _say(self, state: str, message: str) -> None:
        self._request.report(Progress("canary", state, message, time.monotonic() - self._started))
