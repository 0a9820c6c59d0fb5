"""What differs from the recorded revision though nobody rolled it out. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hftctl.errors import NotFound
from hftctl.operations.standing import last_revision, open_standing, open_target
from hftctl.operations.terms import TargetFactory
from hftctl.run import redacted
from hftctl.targets.base import Drift


@dataclass(frozen=True)
class DriftReport:
    deployment: str
    revision: int
    findings: tuple[Drift, ...]


def drift(name: str | None, *, targets: TargetFactory = open_target) -> DriftReport:
    target = open_standing(name, targets=targets)
    revision = last_revision(target)
    if revision is None:
        raise NotFound(
            f"'{target.deployment}' has no revision yet, so nothing can drift from it",
            hint=f"hftctl status -p {target.deployment}",
        )
    secrets = target.secrets()
    found = tuple(
        replace(
            one,
            message=redacted(one.message, secrets),
            repair=redacted(one.repair, secrets),
            diff=tuple(redacted(line, secrets) for line in one.diff),
        )
        for one in target.drift(revision.release)
    )
    return DriftReport(target.deployment, revision.number, found)
