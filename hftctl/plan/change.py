"""A change to one subject, and a plan of changes. Plain data, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Spec = Mapping[str, Any]  # plain JSON values; compared by equality
State = Mapping[str, Spec]  # subject -> spec, in order of dependency: what comes first is applied first


class Op(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RESTART = "restart"  # as it is wanted, and started anew because somebody asked for it
    KEEP = "keep"


@dataclass(frozen=True)
class Change:
    subject: str
    op: Op
    before: Spec | None
    after: Spec | None
    cause: str  # one clause an operator understands: "not running", "setting client_ids_max 4194304 -> 100"


@dataclass(frozen=True)
class Plan:
    """Changes in the order they are applied: deletes last, in reverse order of dependency."""

    changes: tuple[Change, ...]

    @property
    def pending(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.op is not Op.KEEP)

    def count(self, op: Op) -> int:
        return sum(change.op is op for change in self.changes)
