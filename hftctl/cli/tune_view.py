"""Plans of tuning as text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hftctl.cli import output
from hftctl.tuning.actuator import told
from hftctl.tuning.places.kind import split

if TYPE_CHECKING:
    from hftctl.operations.tune_plan import TunePlan
    from hftctl.plan.change import Change
    from hftctl.tuning.taking_back import TakingBack

LINES_SHOWN = 12
SIGNS = {"create": "+", "update": "~", "delete": "-"}


def show_plan(made: TunePlan, write: Callable[[str], None]) -> None:
    output.hanging(f"{made.facts.host_name} as {made.asked.profile}:", made.wanted.profile.who, write, gap=" ")
    write(f"  CPUs: {made.layout.shown} ({made.layout.chosen})")
    settings = {one.subject: one for one in made.wanted.settings}
    for alike in grouped(made.plan.pending):
        change = alike[0]
        one = settings.get(change.subject)
        marks = [
            f"[{mark}]"
            for mark in ("reboot" if one and one.needs_reboot else "", one.disruptive if one else "")
            if mark
        ]
        more = f", and {len(alike) - 1} like it up to {split(alike[-1].subject)[1]}" if len(alike) > 1 else ""
        output.hanging(line(change) + more, " ".join([change.cause, *marks]), write)
        for text in edits(change):
            write(f"      {text}")
        if one is not None and one.risk:
            output.hanging("      gives up:", one.risk, write, gap=" ")
    for skipped in made.wanted.skipped:
        output.hanging(f"    not here: {skipped.what}:", skipped.why, write, gap=" ")
    for dead in made.dead:
        output.hanging(f"  ! {dead.where}: {dead.what}", dead.why, write, gap=" ")
    for refusal in made.refusals:
        word = "refused" if refusal in made.against else "forced"
        output.hanging(f"  {word} [{refusal.code}]:", f"{refusal.message}; {refusal.fix}", write, gap=" ")
    if made.interrupted:
        write(f"  interrupted before: {made.interrupted}; an apply goes on from there")
    pending = len(made.plan.pending)
    reboot = f"; a reboot brings {' '.join(made.pending_arguments)}" if made.pending_arguments else ""
    write(
        f"{pending} to change, {len(made.plan.changes) - pending} as wanted{reboot}"
        if made.plan.changes
        else "nothing to do"
    )


def grouped(changes: Sequence[Change]) -> list[list[Change]]:
    """Changes that differ only in a number of their places, together: a value of each CPU is one thing to a reader."""
    groups: dict[tuple[str, str, str, str], list[Change]] = {}
    for change in changes:
        pattern = re.sub(r"\d+", "*", change.subject)
        groups.setdefault((pattern, told(change.before), told(change.after), change.cause), []).append(change)
    return list(groups.values())


def line(change: Change) -> str:
    return f"  {SIGNS[change.op.value]} {change.subject}  {told(change.before)} -> {told(change.after)}"


def edits(change: Change) -> list[str]:
    """Lines of a file that come and go."""
    old, new = (str((spec or {}).get("text", "")).splitlines() for spec in (change.before, change.after))
    found = [
        one for one in difflib.unified_diff(old, new, n=0, lineterm="") if not one.startswith(("---", "+++", "@@"))
    ]
    more = [f"... and {len(found) - LINES_SHOWN} more lines"] if len(found) > LINES_SHOWN else []
    return [f"{one[0]} {one[1:]}" for one in found[:LINES_SHOWN]] + more


def show_back(back: TakingBack) -> None:
    for change in back.changes:
        output.hanging(line(change), change.cause, output.say)
    for conflict in back.conflicts:
        output.hanging("  left:", conflict, output.say, gap=" ")
