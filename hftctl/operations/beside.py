"""A command of a person beside a component: `hftctl exec`. Recorded before it begins, for afterwards it may be too late."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hftctl.errors import NotFound, UsageError
from hftctl.operations.rollout import actor
from hftctl.operations.rollout import confirm as confirm_
from hftctl.operations.standing import open_standing, open_target
from hftctl.operations.terms import Confirm, Intention, TargetFactory, accept
from hftctl.plan.change import Plan
from hftctl.run import redacted
from hftctl.targets.base import Surroundings, Target

WORDS_SHOWN = 500


@dataclass(frozen=True)
class Beside:
    deployment: str
    component: str
    argv: tuple[str, ...]
    surroundings: Surroundings
    unrecorded: str = ""  # why it could not be recorded


def prepare(
    name: str | None,
    component: str,
    argv: Sequence[str],
    *,
    targets: TargetFactory = open_target,
    confirm: Confirm = accept,
) -> Beside:
    """Where the command runs. Only `production` asks: there a slip of the hand meets real orders."""
    target = open_standing(name, targets=targets)
    chosen = choose(target, component, lambda one: ["hftctl", "exec", "-p", target.deployment, one, "--", *argv])
    surroundings = target.surroundings(chosen)
    line = redacted(shlex.join(argv), target.secrets())
    unrecorded = record(target, chosen, "exec", f"runs beside {chosen}: {line[:WORDS_SHOWN]}", confirm)
    return Beside(target.deployment, chosen, tuple(argv), surroundings, unrecorded)


def choose(target: Target, component: str, words: Callable[[str], Sequence[str]]) -> str:
    """The one that is meant. `words`: the command that names one exactly."""
    there = [one.component for one in target.status() if one.component != "supervisor"]
    chosen = [one for one in there if component in (one, one.rpartition("-")[0])]
    if not chosen:
        raise NotFound(
            f"'{target.deployment}' has no component {component}; there are: {', '.join(there) or 'none'}",
            hint=f"hftctl status -p {target.deployment}",
        )
    if len(chosen) > 1:
        raise UsageError(
            f"which {component}? '{target.deployment}' has {', '.join(chosen)}",
            hint=f"name one: {shlex.join(words(chosen[0]))}",
        )
    return chosen[0]


def record(target: Target, component: str, event: str, message: str, confirm: Confirm) -> str:
    """Ask where that is needed, then write it down; why that could not be done, else empty."""
    revision = next(reversed(target.revisions()), None)
    environment = revision.release.environment if revision else ""
    if environment == "production":
        confirm_(
            confirm, Intention(f"{event} in {component} of", target.deployment, target.name, environment, Plan(()))
        )
    try:
        target.note(event, component, message, actor())
    except OSError as error:
        return error.strerror or str(error)
    return ""
