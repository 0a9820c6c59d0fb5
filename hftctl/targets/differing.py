"""Drift that every target tells alike: which subjects are not what their revision wants. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from hftctl.plan.change import Op, State
from hftctl.plan.diff import diff
from hftctl.targets.base import Drift

# Of an observed spec, and of no other: what a person did to it since.
EDITED = "edited"  # files that are not as they were written
AWAY = "away"  # it is there and out of reach: paused, or without its network
MARKS = frozenset({EDITED, AWAY})


def differing(desired: State, observed: State, start: str) -> Iterator[Drift]:
    """`start`: the command that mends it. What a person did is left to whoever can show more of it."""
    for change in diff(desired, observed).pending:
        before = {key: value for key, value in (change.before or {}).items() if key not in MARKS}
        if before == change.after:
            continue
        if change.op is Op.CREATE:
            yield Drift(change.subject, "gone", "does not run, and its revision wants it", start)
        elif change.op is Op.DELETE:
            yield Drift(change.subject, "unwanted", "runs, and its revision does not want it", start)
        else:
            yield Drift(
                change.subject, "settings", f"runs with other settings than its revision: {change.cause}", start
            )
