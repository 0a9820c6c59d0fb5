"""The last rollout as a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hftctl.operations.interrupted import RolloutStatus
    from hftctl.plan.journal import Rollout


def rollout_body(report: RolloutStatus) -> dict[str, Any]:
    names = ("id", "verb", "actor", "why", "started_ns", "ended_ns", "from_revision", "to_release", "reverting")
    body = {name: getattr(report, name) for name in ("deployment", "target", "state", "message", "hint", "holder")}
    return body | {
        "rollout": {name: getattr(report.rollout, name) for name in names},
        "changes": changes(report.rollout),
    }


def changes(rollout: Rollout) -> list[dict[str, str]]:
    def state(index: int) -> str:
        if index in rollout.outcomes:
            return "failed" if rollout.outcomes[index] else "ready"
        return "begun" if index in rollout.intents else "waiting"

    return [
        {"subject": change.subject, "op": change.op.value, "cause": change.cause, "state": state(index)}
        for index, change in enumerate(rollout.changes)
    ]
