"""Plans and results of tuning as documents, and how a command that changed a host ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hftctl.cli import output

if TYPE_CHECKING:
    from hftctl.operations.tune_apply import TuneResult
    from hftctl.operations.tune_plan import TunePlan
    from hftctl.plan.change import Change


def document(made: TunePlan) -> dict[str, Any]:
    settings = {one.subject: one for one in made.wanted.settings}
    return {
        "host": made.facts.host_name,
        "profile": made.asked.profile,
        "layout": asdict(made.layout),
        "changes": [_change(change, settings) for change in made.plan.pending],
        "pending": len(made.plan.pending),
        "as_wanted": len(made.plan.changes) - len(made.plan.pending),
        "arguments": [asdict(one) for one in made.wanted.arguments],
        "needs_reboot": list(made.pending_arguments),
        "skipped": [asdict(one) for one in made.wanted.skipped],
        "refusals": [asdict(one) for one in made.refusals],
        "refused": [one.code for one in made.against],
        "dead": [asdict(one) for one in made.dead],
        "interrupted": made.interrupted,
    }


def _change(change: Change, settings: Mapping[str, Any]) -> dict[str, Any]:
    one = settings.get(change.subject)
    return {
        **asdict(change),
        "needs_reboot": bool(one and one.needs_reboot),
        "disruptive": one.disruptive if one else "",
        "risk": one.risk if one else "",
    }


def finish(result: TuneResult, *, as_json: bool) -> None:
    body = {
        "verb": result.verb, "host": result.host, "profile": result.profile, "result": result.result, "cause": result.cause,
        "changes": [asdict(change) for change in result.plan.pending], "left": list(result.left), "reboot": list(result.reboot),
        "before_reboot": result.before_reboot,
        "duration_s": round(result.duration_s, 3),
    }  # fmt: skip
    if (error := result.error) is not None:
        error.details = {"tune": body}  # type: ignore[attr-defined]
        raise error
    if as_json:
        output.document("TuneResult", body)
        return
    count = len(result.plan.pending)
    done = {
        "ready": f"{count} places changed",
        "planned": f"{count} places would be changed",
        "unchanged": "nothing to do",
    }
    output.put(f"{result.verb} on {result.host}: {done[result.result]}{f': {result.cause}' if result.cause else ''}")
    for sentence in result.left:
        output.hanging("  left:", sentence, gap=" ")
    if result.before_reboot:
        output.hanging("  first:", result.before_reboot, gap=" ")
    if result.reboot:
        way = "comes with" if result.verb == "apply" else "goes with"
        output.put(
            f"{' '.join(result.reboot)} {way} the next reboot; then: hftctl tune {'verify' if result.verb == 'apply' else 'show'}"
        )
