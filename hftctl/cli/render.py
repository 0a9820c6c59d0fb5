"""Plans and rollouts as text and as documents."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hftctl.cli import output

if TYPE_CHECKING:
    from hftctl.operations.terms import RolloutResult
    from hftctl.plan.change import Plan
    from hftctl.release import Revision

SIGNS = {"create": "+", "update": "~", "restart": "^", "delete": "-", "keep": " "}


def show_plan(plan: Plan, write: Callable[[str], None]) -> None:
    stream = sys.stderr if write is output.say else sys.stdout
    for change in plan.pending:
        sign = f"{SIGNS[change.op.value]} {change.op.value:<7}"
        head = f"  {output.paint(sign, output.STYLES[change.op.value], stream)}  {change.subject:<16}"
        output.hanging(head, change.cause, write)
    write(counts(plan))


def counts(plan: Plan) -> str:
    from hftctl.plan.change import Op

    if not plan.pending:
        return "nothing to do: everything is as wanted"
    return ", ".join(f"{plan.count(op)} to {op.value}" for op in Op if plan.count(op))


def show_take_down(verb: str, plan: Plan, data: bool, write: Callable[[str], None]) -> None:
    """Of stop and destroy: what goes, and what stays."""
    there = ", ".join(change.subject for change in reversed(plan.changes)) or "nothing: none of it is there"
    output.hanging(f"  {verb}s", there, write, gap=" ")
    write("  journals, database and secrets go too, for good" if data else "  journals, database and secrets stay")


def layout(revision: Revision | None) -> str:
    """Who owns the order socket: `engine` or `gateway`; empty where nothing stands."""
    if revision is None:
        return ""
    if revision.release.target != "local":
        return "gateway"
    from hftctl.targets.local.services import owns_door

    return "engine" if owns_door(revision.release.profile) else "gateway"


def plan_body(plan: Plan) -> dict[str, Any]:
    return {"changes": [asdict(change) for change in plan.pending], "pending": len(plan.pending)}


def rollout_body(result: RolloutResult) -> dict[str, Any]:
    body = {name: getattr(result, name) for name in (
        "deployment", "target", "verb", "result", "endpoint", "duration_s", "rollout", "release", "revision", "cause",
        "evidence", "left", "proofs", "findings", "pauses", "canary", "baked",
    )}  # fmt: skip
    return body | {"plan": plan_body(result.plan)}


def finish(result: RolloutResult, *, as_json: bool, text: Callable[[RolloutResult], None]) -> None:
    """Show how a rollout ended; raise what it ended with."""
    error = result.error
    if error is None:
        if as_json:
            output.document("Rollout", rollout_body(result))
        else:
            text(result)
        return
    if not as_json:
        for line in result.evidence:
            output.say(f"  {line}")
    error.details = {"rollout": rollout_body(result)}  # type: ignore[attr-defined]
    raise error


def recovery(engine: Mapping[str, Any]) -> list[str]:
    """Where an engine's process began, and what the next one would begin from; nothing of one that does not say."""
    if "recovery" not in engine or "snapshots" not in engine:
        return []
    was, snapshots = engine["recovery"], engine["snapshots"]
    begun = f"snapshot {was['from_snapshot']}" if was["from_snapshot"] else "the journal's beginning"
    said = [f"began from {begun}, replayed {was['replayed']} commands in {was['took_s']:.2f} s"]
    if snapshots["newest"]:
        said.append(f"newest snapshot {snapshots['newest']}")
    return [*said, f"the last snapshot failed: {snapshots['error']}"] if snapshots["error"] else said


def sessions(engine: Mapping[str, Any]) -> list[str]:
    """What came by the binary door; nothing where nobody came."""
    of = engine.get("sessions", {})
    if not of.get("opened") and not of.get("refused"):
        return []
    refused = [f"{code} {count}" for code, count in of["refused"].items()]
    said = [f"sessions open {of['open']}, batches {of['batches']}"]
    return [*said, f"sessions refused: {' '.join(refused)}"] if refused else said
