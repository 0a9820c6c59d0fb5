"""The pure difference between what is wanted and what is there."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hftctl.plan.change import Change, Op, Plan, Spec, State

SHOWN_KEYS = 3
SHOWN_CHARACTERS = 40
REPLACED = "replaced"  # a spec may say how another one takes its place: start-first, stop-first
SHOWN_MEMBERS = 2
HASH, HASH_SHOWN = re.compile("[0-9a-f]{64}"), 12  # as `hftctl history` shows a release
ABSENT = object()


def diff(desired: State, observed: State) -> Plan:
    """Creates, updates and keeps in the order of `desired`; then deletes, in the reverse order of `observed`."""
    changes = [change(subject, observed.get(subject), after) for subject, after in desired.items()]
    unwanted = [subject for subject in observed if subject not in desired]
    changes += [change(subject, observed[subject], None) for subject in reversed(unwanted)]
    return Plan(tuple(changes))


def restarting(plan: Plan, subjects: Collection[str], *, only: bool) -> Plan:
    """The plan in which `subjects` are started anew, also those that are as wanted; `only` them, or the rest as well."""
    changes = [
        Change(one.subject, Op.RESTART, one.before, one.after, f"asked for{_how(one.after)}")
        if one.op is Op.KEEP and one.subject in subjects
        else one
        for one in plan.changes
        if one.subject in subjects or not only
    ]
    return Plan(tuple(changes))


def change(subject: str, before: Spec | None, after: Spec | None) -> Change:
    if after is None:
        return Change(subject, Op.DELETE, before, None, "not wanted any more")
    if before is None:
        return Change(subject, Op.CREATE, None, after, "not there")
    if before == after:
        return Change(subject, Op.KEEP, before, after, "")
    return Change(subject, Op.UPDATE, before, after, differences(before, after) + _how(after))


def differences(before: Spec, after: Spec) -> str:
    """What differs, by key path: `settings.client_ids_max 4194304 -> 100`."""
    found = [f"{path} {told(old, new)}" for path, old, new in walk(before, after, "")]
    more = len(found) - SHOWN_KEYS
    return ", ".join(found[:SHOWN_KEYS]) + (f" and {more} more" if more > 0 else "")


def _how(spec: Spec | None) -> str:
    how = (spec or {}).get(REPLACED)
    return f" ({how})" if how else ""


def walk(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Key path, value before and after of all that differs; ABSENT where one side has no such key."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            old, new = before.get(key, ABSENT), after.get(key, ABSENT)
            yield from walk(old, new, f"{path}.{key}" if path else str(key))
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from walk(old, new, f"{path}[{index}]")
    elif before != after:
        yield path, before, after


def told(old: Any, new: Any) -> str:
    """What became of a value. Of lists only the members that came and went: their beginnings look the same."""
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        came, went = [one for one in new if one not in old], [one for one in old if one not in new]
        if 0 < len(came) + len(went) <= SHOWN_MEMBERS:
            return ", ".join([*(f"with {short(one)}" for one in came), *(f"without {short(one)}" for one in went)])
        if came or went:
            return f"{len(came)} added, {len(went)} taken away"
    before, after = short(old), short(new)
    return "changed further on" if before == after else f"{before} -> {after}"


def short(value: Any) -> str:
    if value is ABSENT:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if HASH.fullmatch(text):
        return text[:HASH_SHOWN]
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."
