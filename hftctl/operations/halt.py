"""The emergency stop and its release. Takes no lock and needs nothing but the engines."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hftctl.checks.door import Door, refusal
from hftctl.errors import Failed, HftctlError, NotFound, NotReverted, UsageError
from hftctl.operations.rollout import actor
from hftctl.operations.rollout import confirm as confirm_
from hftctl.operations.standing import last_revision, open_standing, open_target
from hftctl.operations.status import engines
from hftctl.operations.terms import Confirm, Intention, TargetFactory, accept
from hftctl.plan.change import Plan
from hftctl.targets.base import Target

ADMIN_TIMEOUT_S = 2.0
HTTP_TIMEOUT_S = 10.0  # a gateway holds the request while an engine restarts
WHY_CHARACTERS_MAX = 44  # what a command of the engine's journal has room for
WHY = re.compile(rf"[ -~]{{1,{WHY_CHARACTERS_MAX}}}")


@dataclass(frozen=True)
class PartitionHalt:
    partition: int
    done: bool
    how: str  # admin | http
    message: str
    duration_ms: float


@dataclass(frozen=True)
class HaltResult:
    deployment: str
    target: str
    verb: str  # halt | resume
    why: str
    partitions: tuple[PartitionHalt, ...]

    @property
    def error(self) -> HftctlError | None:
        left = [f"partition {p.partition}: {p.message}" for p in self.partitions if not p.done]
        if not left:
            return None
        again = shlex.join(["hftctl", self.verb, "-p", self.deployment, "--why", self.why])
        return NotReverted(
            f"cannot {self.verb} all of '{self.deployment}': {'; '.join(left)}",
            hint=f"try again: {again}; or stop all order entry: hftctl stop -p {self.deployment}",
        )


def halt(
    name: str | None, *, why: str = "", targets: TargetFactory = open_target, confirm: Confirm = accept
) -> HaltResult:
    """Every partition refuses new orders from now on, over a restart too; cancels pass."""
    return _tell(name, "halt", why or unasked("halt"), targets, confirm)


def resume(
    name: str | None, *, why: str, targets: TargetFactory = open_target, confirm: Confirm = accept
) -> HaltResult:
    if not why.strip():
        raise UsageError("cannot resume without a reason: it is journalled", hint="hftctl resume --why 'feed is back'")
    return _tell(name, "resume", why, targets, confirm)


def _tell(name: str | None, verb: str, why: str, targets: TargetFactory, confirm: Confirm) -> HaltResult:
    why = checked(why)
    target = open_standing(name, targets=targets)
    partitions = engines(target.status())
    if not partitions:
        raise NotFound(f"cannot {verb} '{target.deployment}': it has no engine", hint="hftctl status")
    confirm_(confirm, Intention(verb, target.deployment, target.name, _environment(target), Plan(())))
    return HaltResult(target.deployment, target.name, verb, why, tell(target, partitions, verb, why))


def _environment(target: Target) -> str:
    """For the question only: what is wrong with the records must not keep anybody from a halt."""
    try:
        revision = last_revision(target)
    except (HftctlError, OSError):
        return "its revisions cannot be read"
    return revision.release.environment if revision else ""


def unasked(verb: str) -> str:
    """The reason where nobody gave one. Names of users and hosts may be in any script; the journal has room for ASCII."""
    return re.sub(r"[^ -~]", "?", f"{verb} by {actor()}")[:WHY_CHARACTERS_MAX].strip()


def checked(why: str) -> str:
    """Raises UsageError where the journal has no room for it."""
    why = why.strip()
    if not WHY.fullmatch(why):
        raise UsageError(
            f"the reason {why!r} has {len(why)} characters; it may have {WHY_CHARACTERS_MAX}, all of them printable ASCII"
        )
    return why


def tell(target: Target, partitions: Sequence[int], verb: str, why: str) -> tuple[PartitionHalt, ...]:
    """Each partition by its own door, else through a gateway; recorded in the events."""
    found = [_timed(partition, "admin", partial(_by_admin, target, partition, verb, why)) for partition in partitions]
    if not all(result.done for result in found):
        by_http = _by_http(target, verb, why)
        found = [result if result.done else _merged(result, by_http) for result in found]
    with suppress(OSError):  # the engines' journals have it; a full disk must not make a halt look as if it failed
        for result in found:
            said = f"{verb} of partition {result.partition}: {why} ({result.message})"
            target.note(verb if result.done else f"{verb}-failed", f"engine-{result.partition}", said, actor())
    return tuple(found)


def _by_admin(target: Target, partition: int, verb: str, why: str) -> str:
    answer = target.ask_engine(partition, {"command": verb, "why": why}, timeout_s=ADMIN_TIMEOUT_S)
    if not answer.get("ok"):
        raise Failed(f"the engine refuses: {answer.get('code')}: {answer.get('message')}")
    return f"sequence {answer['sequence']}"


def _by_http(target: Target, verb: str, why: str) -> Callable[[int], str]:
    """Tell all partitions at once through a gateway; what is returned says it for one, or raises for it."""

    def answer(partition: int) -> str:
        if failure is not None:
            raise failure
        for state in read.get("partitions", ()):
            if state.get("partition") == partition and "error" not in state:
                return f"sequence {state.get('sequence')}"
        raise refusal(f"POST /{verb}", status, read)

    failure: HftctlError | None = None
    status, read = 0, dict[str, Any]()
    try:
        with Door(target.endpoint(), api_key=target.operator_key(), timeout_s=HTTP_TIMEOUT_S) as door:
            status, read = door.ask("POST", f"/{verb}", body={"why": why})
    except HftctlError as error:
        failure = error
    return answer


def _timed(partition: int, how: str, act: Callable[[], str]) -> PartitionHalt:
    started = time.monotonic()
    try:
        done, message = True, act()
    except HftctlError as error:
        done, message = False, error.message
    return PartitionHalt(partition, done, how, message, round((time.monotonic() - started) * 1e3, 3))


def _merged(by_admin: PartitionHalt, by_http: Callable[[int], str]) -> PartitionHalt:
    second = _timed(by_admin.partition, "http", partial(by_http, by_admin.partition))
    message = second.message if second.done else f"{by_admin.message}; {second.message}"
    return replace(second, message=message, duration_ms=by_admin.duration_ms + second.duration_ms)
