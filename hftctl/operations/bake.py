"""Watching a release after it was recorded. What does worse than its profile allows is taken back by who rolls it out.

Who is killed meanwhile leaves the rollout open, with where the way back leads: the next rollout to the same release watches
it anew for the whole time, since nobody did in between.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hftctl.checks.slo import Figure, Sample, Slo, figures, judge, standing
from hftctl.errors import HftctlError, Interrupted
from hftctl.operations.request import Request
from hftctl.plan.execute import Progress, Stopped
from hftctl.plan.interrupts import Interrupts
from hftctl.plan.journal import Rollout
from hftctl.release import Release, Revision
from hftctl.targets.base import Target

BEFORE_S = 5.0  # how long the release before is measured, for what it did just before the rollout
LOOK_S = 1.0
WINDOW_S = 10.0  # what comes late in a long bake must not vanish in all that went well before
STRIKES = 3  # looks in a row, so that one bad second is no regression
UNREAD_S = 10.0  # without any metrics for so long, the stack is not what it was before


@dataclass(frozen=True)
class Bake:
    slo: Slo
    back: int  # the revision that a regression leads back to
    before: tuple[Figure, ...]

    def document(self) -> dict[str, Any]:
        return {"bake_s": self.slo.bake_s, "revision": self.back, "before": [asdict(figure) for figure in self.before]}


@dataclass(frozen=True)
class Verdict:
    message: str  # what was seen
    worse: bool = False


def unended(rollout: Rollout | None, release: Release, last: Revision | None) -> Mapping[str, Any]:
    """The bake of this very release that nobody ended; empty when there is none."""
    if rollout is None or last is None or last.release.hash != release.hash or rollout.to_release != release.hash:
        return {}
    return rollout.bake


def prepare(
    target: Target, release: Release, before: Revision | None, request: Request, interrupts: Interrupts
) -> Bake | None:
    """Before the first change: what the bake compares with. None where nothing is watched, or there is no way back."""
    slo = Slo.of(release.profile["rollout"])
    if not (slo.bake_s and request.bake and request.wait) or before is None:
        return None
    if cut_short := unended(target.journal().interrupted(), release, before):
        return Bake(slo, cut_short["revision"], tuple(Figure(**figure) for figure in cut_short["before"]))
    if before.release.hash == release.hash:
        return None  # a repair: there is nothing else to go back to
    if target.journal().unsettled() is not None:
        return Bake(slo, before.number, ())  # what stands may be half of the new release: only thresholds count
    request.report(Progress("bake", "waiting", f"what stands is measured for {BEFORE_S:g} s, to compare with", 0.0))
    found: list[Figure] = []
    try:
        first = request.look(target)
        if not interrupts.nap(BEFORE_S):
            raise Interrupted(
                f"{request.verb} of '{target.deployment}' stopped by {interrupts.received}; nothing was changed",
                hint=f"see what stands: hftctl status -p {target.deployment}",
            )
        found = figures(first, request.look(target))
    except HftctlError as error:
        if isinstance(error, Interrupted):
            raise
        request.report(Progress("bake", "waiting", f"nothing to compare with: {error.message}", 0.0))
    return Bake(slo, before.number, tuple(found))


def watch(target: Target, bake: Bake, request: Request, interrupts: Interrupts) -> Verdict:
    """For the time that the profile says. Raises Stopped when a signal asked to."""
    return _Watch(target, bake, request).run(interrupts)


class _Watch:
    def __init__(self, target: Target, bake: Bake, request: Request) -> None:
        self._target, self._bake, self._slo = target, bake, bake.slo
        self._request = request
        self._seen: list[tuple[float, Sample]] = []
        self._told = ""
        self._started = time.monotonic()

    def run(self, interrupts: Interrupts) -> Verdict:
        slo = self._slo
        self._say("baking", f"watched for {slo.bake_s:g} s; a regression leads back to revision {self._bake.back}")
        strikes, unread_since, why_unread = 0, 0.0, ""
        while True:
            now = time.monotonic()
            try:
                self._seen.append((now, self._request.look(self._target)))
                unread_since = 0.0
            except HftctlError as error:
                unread_since, why_unread = unread_since or now, error.message
                self._say("baking", f"no metrics: {why_unread}")
            if unread_since and now - unread_since >= min(UNREAD_S, slo.bake_s):
                return self._worse(f"its metrics could not be read for {now - unread_since:.0f} s: {why_unread}")
            if not unread_since:
                died, doubtful = self._judged()
                if died:
                    return self._worse("; ".join(died))
                strikes = strikes + 1 if doubtful else 0
                if doubtful:
                    self._say("baking", "; ".join(doubtful))
                if strikes >= STRIKES:
                    return self._worse("; ".join(doubtful))
                self._count_down(strikes, doubtful)
            if now - self._started >= slo.bake_s and not (strikes or unread_since or interrupts.received):
                return self._stays()
            if not interrupts.nap(min(LOOK_S, slo.bake_s)):
                raise Stopped(interrupts.received)

    def _count_down(self, strikes: int, doubtful: list[str]) -> None:
        """How long still, and what is seen so far. No news: a terminal draws it, elsewhere only changes are said."""
        elapsed_s = time.monotonic() - self._started
        left = f"{max(self._slo.bake_s - elapsed_s, 0):.0f} s of {self._slo.bake_s:g} s left"
        if doubtful:
            seen = f"bad look {strikes} of {STRIKES}: {'; '.join(doubtful)}"
        else:
            found = figures(self._seen[0][1], self._seen[-1][1])
            seen = ", ".join(f"{figure.name} {figure.shown}" for figure in found) or "no request yet"
        self._request.report(Progress("bake", "baking", f"{left}: {seen}", elapsed_s, figures=True))

    def _judged(self) -> tuple[list[str], list[str]]:
        """What is a verdict at once, and what is one when it is so again and again."""
        (_, first), (now, last) = self._seen[0], self._seen[-1]
        died, doubtful = standing(first, last, self._slo)
        whole = figures(first, last)
        recent = next(sample for at, sample in self._seen if now - at <= WINDOW_S)
        for found in (whole, figures(recent, last)):
            doubtful += [one for one in judge(found, self._bake.before, self._slo) if one not in doubtful]
        if not doubtful and any(figure.requests >= self._slo.min_requests for figure in whole):
            self._say("baking", f"enough requests to judge it by, {self._slo.min_requests}; so far as it should be")
        return died, doubtful

    def _stays(self) -> Verdict:
        found = figures(self._seen[0][1], self._seen[-1][1])
        judged = [figure for figure in found if figure.requests >= self._slo.min_requests]
        took = f"baked {time.monotonic() - self._started:.0f} s"
        if judged:
            listed = ", ".join(f"{figure.name} {figure.shown} of {figure.requests}" for figure in judged)
            message = f"{took}, nothing got worse: {listed}"
        else:
            most = max((figure.requests for figure in found), default=0)
            message = (
                f"{took}, too few requests to judge it by ({most} of {self._slo.min_requests}): "
                "it stays; no restart, no lag"
            )
        self._say("ready", message)
        return Verdict(message)

    def _worse(self, cause: str) -> Verdict:
        self._say("failed", cause)
        return Verdict(f"it did worse after {time.monotonic() - self._started:.0f} s of its bake: {cause}", worse=True)

    def _say(self, state: str, message: str) -> None:
        """Once, until something else is said: figures move with every look, what they are about does not."""
        about = f"{state} {message.partition(':')[0]}"
        if about != self._told:
            self._told = about
            self._request.report(Progress("bake", state, message, time.monotonic() - self._started))
