"""A plan in a file: what was computed, and a hash of every object it was computed from."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hftctl.errors import NotFound, PlanStale, Refused, UsageError
from hftctl.paths import write_atomic
from hftctl.plan.change import Change, Op, Plan, Spec, State
from hftctl.plan.journal import Rollout
from hftctl.release import Release

API_VERSION = "hftctl/v1"
ABSENT = "absent"
FILE_BYTES_MAX = 64 << 20


@dataclass(frozen=True)
class SavedPlan:
    release: Release
    observed: Mapping[str, str]  # subject -> hash of what was there, or `absent`
    plan: Plan
    created_ns: int
    rollout: str = ""  # the last one before it was made: a restart since leaves everything else as it was

    @property
    def pending(self) -> int:
        return len(self.plan.pending)


def spec_hash(spec: Spec | None) -> str:
    if spec is None:
        return ABSENT
    return hashlib.sha256(json.dumps(spec, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def make(release: Release, plan: Plan, *, rollout: str) -> SavedPlan:
    observed = {change.subject: spec_hash(change.before) for change in plan.changes}
    return SavedPlan(release, observed, plan, time.time_ns(), rollout)


def document(saved: SavedPlan) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Plan",
        "deployment": saved.release.deployment,
        "target": saved.release.target,
        "created_ns": saved.created_ns,
        "release_hash": saved.release.hash,
        "release": saved.release.document(),
        "observed": dict(saved.observed),
        "rollout": saved.rollout,
        "changes": [asdict(change) for change in saved.plan.changes],
    }


def save(saved: SavedPlan, path: Path) -> None:
    try:
        write_atomic(path, json.dumps(document(saved), indent=2) + "\n", mode=0o600)
    except OSError as error:
        raise Refused(f"cannot write the plan to {path}: {error.strerror}", hint="choose another file") from error


def load(path: Path) -> SavedPlan:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise NotFound(f"cannot read the plan {path}: {error.strerror}") from error
    again = "make it again: hftctl plan --save FILE"
    if len(data) > FILE_BYTES_MAX:
        raise UsageError(f"{path} is no plan: over {FILE_BYTES_MAX} bytes", hint=again)
    try:
        read = json.loads(data)
        if read["apiVersion"] != API_VERSION or read["kind"] != "Plan":
            raise UsageError(f"{path} is no plan of {API_VERSION}: {read['apiVersion']} {read['kind']}", hint=again)
        changes = tuple(
            Change(c["subject"], Op(c["op"]), c["before"], c["after"], str(c["cause"])) for c in read["changes"]
        )
        saved = SavedPlan(
            Release.from_document(read["release"]),
            dict(read["observed"]),
            Plan(changes),
            int(read["created_ns"]),
            str(read["rollout"]),
        )
        promised = read["release_hash"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no plan: {type(error).__name__} {error}", hint=again) from error
    if saved.release.hash != promised:
        raise UsageError(f"{path} was changed after it was saved: its release does not have its hash", hint=again)
    return saved


def check(saved: SavedPlan, desired: State, observed: State, last: Rollout | None) -> None:
    """Raise PlanStale naming everything that is not as it was when the plan was made."""
    moved = [
        f"{subject} {'is gone' if now == ABSENT else 'is new' if then == ABSENT else 'has changed'}"
        for subject, then in saved.observed.items()
        if (now := spec_hash(observed.get(subject))) != then
    ]
    moved += [f"{subject} is new" for subject in observed if subject not in saved.observed]
    after = {change.subject: change.after for change in saved.plan.changes if change.after is not None}
    if not moved and after != dict(desired):
        moved = [
            f"{subject} would be rendered otherwise" for subject in desired if after.get(subject) != desired[subject]
        ]
        moved = moved or ["the set of components is another one"]
    if not moved and last is not None and last.id != saved.rollout:
        moved = [f"{last.actor} made rollout {last.id} ({last.why})"]
    if moved:
        raise PlanStale(
            f"cannot apply the plan for '{saved.release.deployment}': since it was made, {', '.join(moved)}",
            hint="look at the difference again: hftctl plan --save FILE",
        )
