"""What operations take and give: callbacks of whoever calls, and results. Nothing here prints or asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hftctl.errors import Failed, HftctlError, Inconclusive, NotReverted
from hftctl.plan.change import Plan
from hftctl.plan.execute import Progress
from hftctl.targets.base import Finding, Target


@dataclass(frozen=True)
class Intention:
    """What is about to be done, for the person who confirms it."""

    verb: str  # deploy, apply, start, scale, restart, rollback, abort, stop, destroy, halt, resume, drain
    deployment: str
    target: str
    environment: str
    plan: Plan
    findings: tuple[Finding, ...] = ()  # warnings of the preflight
    data: bool = False  # destroy: journals, database and secrets go too


TargetFactory = Callable[[str, str], Target]  # (local | compose | kubernetes, deployment)
Confirm = Callable[[Intention], bool]  # False: declined; raises ConfirmationNeeded where nobody can be asked
Report = Callable[[Progress], None]


def accept(_intention: Intention) -> bool:
    """The confirmation of who said --yes."""
    return True


def silent(_progress: Progress) -> None:
    """For whoever looks at the result only."""


@dataclass(frozen=True)
class RolloutResult:
    """How a rollout ended. The first line for the operator is `cause`, when there is one."""

    deployment: str
    target: str
    verb: str
    result: str  # ready | unchanged | planned | reverted | failed | paused | inconclusive | aborted
    plan: Plan
    endpoint: str
    duration_s: float
    rollout: str = ""
    release: str = ""  # hash
    revision: int | None = None  # the one that stands now
    cause: str = ""
    evidence: tuple[str, ...] = ()  # last log lines of what failed, taken before the revert
    left: tuple[str, ...] = ()  # failed: what stands that should not
    proofs: tuple[Mapping[str, Any], ...] = ()  # per partition: the order it proved itself with
    findings: tuple[Finding, ...] = ()
    pauses: Mapping[str, float] = field(default_factory=dict)  # component that ran once only -> milliseconds without it
    canary: Sequence[str] = ()  # what was seen at each of its steps
    baked: str = ""  # what was seen while the release was watched

    @property
    def error(self) -> HftctlError | None:
        """What to exit with; None for success."""
        tried = f"cannot {self.verb} '{self.deployment}' on {self.target}: {self.cause}"
        look = f"look closer: hftctl logs -p {self.deployment}"
        match self.result:
            case "reverted":
                return Failed(f"{tried} (reverted; what stood before stands again)", hint=look)
            case "failed":
                stands = "; ".join(self.left)
                return NotReverted(f"{tried} (not reverted{': ' if stands else ''}{stands})", hint=look)
            case "paused":
                which = f"-p {self.deployment}"
                return Inconclusive(
                    f"{self.verb} of '{self.deployment}' on {self.target} is paused: {self.cause}",
                    hint=f"look again: hftctl rollout continue {which}; or on without a canary: hftctl rollout continue "
                    f"{which} --no-canary; or back: hftctl rollout abort {which}",
                )
            case "inconclusive":
                return Inconclusive(
                    f"'{self.deployment}' stands on {self.target} but was not proved: {self.cause}",
                    hint=f"when that is over, prove it: hftctl start -p {self.deployment}",
                )
        return None
