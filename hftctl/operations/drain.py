"""Bring a deployment to the point where nothing is under way, for maintenance or a backup.

First the journalled halt; the command at which each engine stands then is the point. Everything up to it must be on
PostgreSQL's disk and in a snapshot that was read back. Cancels pass all the time: what comes behind the point is counted.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hftctl.errors import HftctlError, Inconclusive, Interrupted, NotFound, NotReverted, Refused, TimedOut
from hftctl.operations.drained import ENGINE_TIMEOUT_S, PartitionDrain, hopeless, look
from hftctl.operations.halt import checked, tell, unasked
from hftctl.operations.rollout import actor
from hftctl.operations.rollout import confirm as confirm_
from hftctl.operations.standing import last_revision, open_standing, open_target
from hftctl.operations.status import engines
from hftctl.operations.terms import Confirm, Intention, Report, TargetFactory, accept, silent
from hftctl.plan.change import Plan
from hftctl.plan.execute import POLL_S, Progress
from hftctl.plan.interrupts import Interrupts
from hftctl.targets.base import Target

TIMEOUT_S = 120.0  # where no revision says one
HOPE_S = 1.0  # how often it is asked whether waiting is of use


@dataclass(frozen=True)
class DrainResult:
    deployment: str
    target: str
    result: str  # drained | unchanged | planned | unfinished
    why: str
    partitions: tuple[PartitionDrain, ...]
    duration_s: float
    error: HftctlError | None = None  # unfinished: what keeps it; the halt stands


def drain(
    name: str | None,
    *,
    why: str = "",
    timeout_s: float | None = None,
    lock_wait_s: float = 0.0,
    dry_run: bool = False,
    targets: TargetFactory = open_target,
    confirm: Confirm = accept,
    progress: Report = silent,
) -> DrainResult:
    """`timeout_s` (the profile's without one) counts anew whenever something got further."""
    why = checked(why or unasked("drain"))
    started = time.monotonic()
    target = open_standing(name, targets=targets)
    numbers = engines(target.status())
    if not numbers:
        raise NotFound(f"cannot drain '{target.deployment}': it has no engine", hint="hftctl status")
    last = target.journal().last()
    if last is not None and last.verb == "stop":
        raise Refused(
            f"cannot drain '{target.deployment}': it was stopped, so nothing is under way, and nothing can be asked either",
            hint=f"hftctl start -p {target.deployment}; then: hftctl drain -p {target.deployment}",
        )

    def ended(result: str, partitions: tuple[PartitionDrain, ...], error: HftctlError | None = None) -> DrainResult:
        took_s = time.monotonic() - started
        return DrainResult(target.deployment, target.name, result, why, partitions, took_s, error)

    try:
        found = tuple(look(target, number) for number in numbers)
    except KeyboardInterrupt as pressed:
        raise Interrupted(
            f"drain of '{target.deployment}' stopped by SIGINT; nothing was changed",
            hint=f"see what stands: hftctl status -p {target.deployment}",
        ) from pressed
    if not any(partition.left for partition in found):
        return ended("unchanged", found)
    if dry_run:
        return ended("planned", found)
    revision = last_revision(target)
    environment = revision.release.environment if revision else ""
    confirm_(confirm, Intention("drain", target.deployment, target.name, environment, Plan(())))
    if timeout_s is None:
        timeout_s = float(revision.release.profile["rollout"]["timeout_s"]) if revision else TIMEOUT_S
    with target.lock(f"drain: {why}", wait_s=lock_wait_s), Interrupts() as interrupts:
        work = _Drain(target, why, timeout_s, progress, interrupts)
        error = work.run(tuple(look(target, number) for number in numbers))
        work.note(error)
    return ended("unfinished" if error else "drained", work.found, error)


class _Drain:
    def __init__(self, target: Target, why: str, timeout_s: float, report: Report, interrupts: Interrupts) -> None:
        self._target, self._why, self._timeout_s = target, why, timeout_s
        self._report, self._interrupts = report, interrupts
        self._started = time.monotonic()
        self._told: dict[int, tuple[str, str]] = {}
        self.found: tuple[PartitionDrain, ...] = ()

    def run(self, found: tuple[PartitionDrain, ...]) -> HftctlError | None:
        """Why it could not be ended. Raises NotReverted where a partition could not even be halted, and Interrupted."""
        self.found = found
        try:
            self._halt([partition.partition for partition in found if not partition.halted])
            points = {partition.partition: self._ask_snapshot(partition.partition) for partition in found}
            return self._wait(points)
        except (Interrupted, KeyboardInterrupt) as error:
            stopped = Interrupted(
                f"drain of '{self._target.deployment}' stopped by {self._interrupts.received or 'SIGINT'}: "
                "new orders are still refused where it had been said, nothing is lost",
                hint=self._ways(),
            )
            self.note(stopped)
            raise stopped from error

    def note(self, error: HftctlError | None) -> None:
        for one in self.found:
            done = f"command {one.sequence}, {one.rows} rows in PostgreSQL" + (
                f", snapshot of {one.snapshot}" if one.snapshot is not None else ""
            )
            state = "drain-unfinished" if error else "drained"
            said = f"drain of partition {one.partition}: {self._why} ({error.message if error else done})"
            with suppress(OSError):  # the halt stands, whatever can be written about it
                self._target.note(state, f"engine-{one.partition}", said, actor())

    def _halt(self, partitions: list[int]) -> None:
        if partitions:
            self._say(None, "applying", "new orders are refused from now on; cancels pass")
        left = [one for one in tell(self._target, partitions, "halt", self._why) if not one.done]
        if left:
            said = "; ".join(f"partition {one.partition}: {one.message}" for one in left)
            error = NotReverted(
                f"cannot drain '{self._target.deployment}', it still takes orders: {said}",
                hint=f"hftctl status -p {self._target.deployment}; or stop all order entry: "
                f"hftctl stop -p {self._target.deployment}",
            )
            self.note(error)
            raise error

    def _ask_snapshot(self, partition: int) -> int | None:
        """The point: what the engine had decided when it was asked. None: ask once more."""
        try:
            answer = self._target.ask_engine(partition, {"command": "snapshot"}, timeout_s=ENGINE_TIMEOUT_S)
            if answer.get("code") == "no_snapshots":
                answer = self._target.ask_engine(partition, {"command": "state"}, timeout_s=ENGINE_TIMEOUT_S)
        except HftctlError:
            return None
        return int(answer["sequence"]) if answer.get("ok") else None

    def _wait(self, points: dict[int, int | None]) -> HftctlError | None:
        deadline, hoped, polls, best = time.monotonic() + self._timeout_s, 0.0, 0, -1
        while True:
            for partition, point in points.items():
                points[partition] = self._ask_snapshot(partition) if point is None else point
            self.found = tuple(look(self._target, number, point) for number, point in points.items())
            for one in self.found:
                self._tell(one)
            left = [one for one in self.found if one.left or points[one.partition] is None]
            if not left:
                return None
            now = time.monotonic()
            if self._interrupts.received:
                raise Interrupted("")
            if now - hoped >= HOPE_S:
                hoped = now
                for one in left:
                    if why := hopeless(self._target, one):
                        return self._given_up(Inconclusive, f"partition {one.partition}: {why}", left)
            reached = sum(one.written + (one.snapshot or 0) for one in self.found)
            if reached > best:
                best, deadline = reached, now + self._timeout_s
            if now >= deadline:
                return self._given_up(TimedOut, f"nothing got further for {self._timeout_s:g} s", left)
            time.sleep(POLL_S[min(polls, len(POLL_S) - 1)])
            polls += 1

    def _given_up(self, kind: type[HftctlError], why: str, left: list[PartitionDrain]) -> HftctlError:
        said = "; ".join(f"partition {one.partition}: {one.message}" for one in left)
        return kind(
            f"cannot drain '{self._target.deployment}': {why}. New orders are refused, cancels pass; left: {said}",
            hint=f"mend what is named: hftctl status -p {self._target.deployment}; {self._ways()}",
        )

    def _ways(self) -> str:
        name = self._target.deployment
        return f"go on: hftctl drain -p {name}; or take orders again: hftctl resume -p {name} --why TEXT"

    def _tell(self, one: PartitionDrain) -> None:
        """Once per thing that is waited for; how far it is moves on a terminal only."""
        state = "waiting" if one.left else "ready"
        about = (state, one.left[0].partition(" ")[0] if one.left else "")
        self._say(one.partition, state, one.message, figures=self._told.get(one.partition) == about)
        self._told[one.partition] = about

    def _say(self, partition: int | None, state: str, message: str, **more: Any) -> None:
        subject = "all" if partition is None else f"partition-{partition}"
        self._report(Progress(subject, state, message, time.monotonic() - self._started, **more))
