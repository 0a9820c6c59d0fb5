"""What the executor needs of whatever it changes: a target, or a host with its knobs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from hftctl.plan.change import Change, State


class Answer(StrEnum):
    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"  # will not become ready by waiting


@dataclass(frozen=True)
class Readiness:
    answer: Answer
    message: str  # a sentence an operator can search for
    progress: int = 0  # grows while it works through something long, and is waited for as long as it does


class Actuator(Protocol):
    def observe(self) -> State:
        """What is there now. Reads only."""

    def apply(self, change: Change) -> None:
        """Make one change. Idempotent: applying it again, after a kill anywhere, ends in the same state."""

    def readiness(self, subject: str) -> Readiness:
        """Whether a subject that was applied does its work yet. Returns at once; who waits is the executor."""
