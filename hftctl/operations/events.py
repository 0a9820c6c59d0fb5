"""What happened to a deployment, in the order of time: rollouts and their steps, revisions, and what the target recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hftctl.errors import NotFound
from hftctl.operations.logs import OPERATORS
from hftctl.operations.standing import open_standing, open_target
from hftctl.operations.terms import TargetFactory
from hftctl.targets.base import Event, Target

FOLLOW_S = 0.2


@dataclass
class Timeline:
    deployment: str
    components: tuple[str, ...]
    events: Iterator[Event] = field(default_factory=lambda: iter(()))


def events(
    name: str | None,
    components: Sequence[str] = (),
    *,
    since_s: float | None = None,
    follow: bool = False,
    targets: TargetFactory = open_target,
    wait: Callable[[float], None] = time.sleep,
) -> Timeline:
    """`gateway` means all gateways, those that are gone too; `hftctl` the rollouts as a whole."""
    target = open_standing(name, targets=targets)
    earliest = time.time_ns() - int(since_s * 1e9) if since_s is not None else 0

    def wanted(event: Event) -> bool:
        named = {event.component, event.component.rpartition("-")[0]}
        return event.time_ns >= earliest and (not components or bool(named.intersection(components)))

    known = {one.component for one in target.status()} | {OPERATORS, "supervisor"}
    known |= {component.rpartition("-")[0] for component in known}
    strange = [component for component in components if component not in known]
    found = _read(target, wanted, follow=follow, wait=wait)
    if strange:
        gone = {event.component for event in _read(target, lambda _: True, follow=False, wait=wait)}
        gone |= {component.rpartition("-")[0] for component in gone}
        if missing := [component for component in strange if component not in gone]:
            raise NotFound(
                f"'{target.deployment}' has and had no component {', '.join(missing)}",
                hint=f"all of them: hftctl events -p {target.deployment}",
            )
    return Timeline(target.deployment, tuple(components), found)


def _read(
    target: Target, wanted: Callable[[Event], bool], *, follow: bool, wait: Callable[[float], None]
) -> Iterator[Event]:
    source = target.events()
    told: set[tuple[str, int]] = set()  # step of a rollout, by its place; number of a revision
    try:
        while True:
            news = [*source.new(), *_steps(target, told), *_revisions(target, told)]
            yield from sorted(filter(wanted, news), key=lambda event: event.time_ns)
            if not follow:
                return
            if not news:
                wait(FOLLOW_S)
    finally:
        source.close()


def _revisions(target: Target, told: set[tuple[str, int]]) -> Iterator[Event]:
    for revision in target.revisions():
        key = ("revision", revision.number)
        if key not in told:
            told.add(key)
            said = f"revision {revision.number} recorded: {revision.why}, release {revision.release.hash[:12]}"
            yield Event(revision.created_ns, "recorded", OPERATORS, said, revision.actor, {"revision": revision.number})


def _steps(target: Target, told: set[tuple[str, int]]) -> Iterator[Event]:
    begin: dict[str, Any] = {}
    place = 0
    for entry in target.journal().entries():
        if entry["entry"] == "begin":
            begin, place = entry, 0
        elif not begin:
            continue
        key = (begin["rollout"], place)
        place += 1
        if key not in told:
            told.add(key)
            yield _step(begin, entry)


def _step(begin: dict[str, Any], entry: dict[str, Any]) -> Event:
    """Steps of a journal written by an older hftctl have no time of their own: they stand at their rollout's begin."""
    kind, component, said = _words(begin, entry)
    time_ns = entry.get("time_ns", begin["time_ns"])
    return Event(time_ns, kind, component, said, begin["actor"], {"rollout": begin["rollout"], "verb": begin["verb"]})


def _words(begin: dict[str, Any], entry: dict[str, Any]) -> tuple[str, str, str]:
    verb, rollout = begin["verb"], begin["rollout"]
    match entry["entry"]:
        case "begin":
            pending = len(begin["changes"])
            return "rollout", OPERATORS, f"{verb} {rollout} begins, {pending} changes: {begin['why']}"
        case "intent":
            change = begin["changes"][entry["change"]]
            return "applying", change["subject"], f"{verb}: {change['op']} ({change['cause']})"
        case "outcome":
            subject = begin["changes"][entry["change"]]["subject"]
            failure = entry["failure"]
            return ("failed", subject, f"{verb}: {failure}") if failure else ("ready", subject, f"{verb}: done")
        case "reverting":
            return "reverting", OPERATORS, f"{verb} {rollout} is taken back: {entry['cause']}"
        case "baking":
            return "baking", OPERATORS, f"{verb} {rollout} is watched for {entry['bake']['bake_s']:g} s"
        case "interrupted":
            return "interrupted", OPERATORS, f"{verb} {rollout} was stopped by {entry['how']}"
        case "end":
            why = f": {entry['message']}" if entry["message"] else ""
            return entry["result"], OPERATORS, f"{verb} {rollout} ended {entry['result']}{why}"
    return str(entry["entry"]), OPERATORS, f"{verb} {rollout}: {entry['entry']}"
