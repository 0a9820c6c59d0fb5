"""Which backups stay when old ones are deleted: the newest ones, and the last one of each of so many days, weeks and months.

Days, weeks (ISO 8601) and months are those of UTC, and only those count that have a backup: a deployment that stood still
for a year keeps its last ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Keep:
    last: int
    daily: int
    weekly: int
    monthly: int

    def __post_init__(self) -> None:
        if self.last < 1 or min(self.daily, self.weekly, self.monthly) < 0:
            raise ValueError("the newest backup always stays")


def kept(created_ns: Mapping[str, int], keep: Keep) -> dict[str, tuple[str, ...]]:
    """`created_ns`: id -> time since the epoch, in the order they were made. Returns the ids that stay, and why: `last`,
    `day 2026-11-28`, `week 2026-W48`, `month 2026-11`."""
    newest_first = list(created_ns)[::-1]
    reasons: dict[str, list[str]] = {id_: ["last"] for id_ in newest_first[: keep.last]}
    for count, period in (
        (keep.daily, lambda at: f"day {at:%Y-%m-%d}"),
        (keep.weekly, lambda at: f"week {at:%G-W%V}"),
        (keep.monthly, lambda at: f"month {at:%Y-%m}"),
    ):
        for id_, name in _ends(newest_first, created_ns, period)[:count]:
            reasons.setdefault(id_, []).append(name)
    return {id_: tuple(reasons[id_]) for id_ in newest_first if id_ in reasons}


def _ends(
    newest_first: Sequence[str], created_ns: Mapping[str, int], period: Callable[[datetime], str]
) -> list[tuple[str, str]]:
    """The last backup of each period that has one, newest period first."""
    found: dict[str, str] = {}
    for id_ in newest_first:
        found.setdefault(period(datetime.fromtimestamp(created_ns[id_] / 1e9, UTC)), id_)
    return [(id_, name) for name, id_ in sorted(found.items(), key=lambda one: created_ns[one[1]], reverse=True)]
