"""Deploys in a row under clients, three of them releases that are wrong: those go back by themselves, and say why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.docker import bad
from tests.lab.docker.evidence import Judged, judge
from tests.lab.docker.scene import Scene
from tests.lab.docker.watch import Change, failures, traded

LEVELS = ("info", "warning", "debug")


@dataclass
class Row:
    name: str
    result: str
    took_s: float
    cause: str
    pauses: dict[str, float]
    problems: list[str] = field(default_factory=list)


@dataclass
class Deploys:
    rows: list[Row]
    requests: int
    failed: list[str]
    slowest_ms: float
    judged: Judged
    took_s: float

    @property
    def good(self) -> bool:
        return not self.failed and self.judged.good and not any(row.problems for row in self.rows)


def deploys(scene: Scene, count: int, clients: int, folder: Path) -> Deploys:
    """`count` of them, the bad ones spread evenly; each kind once."""
    rows: list[Row] = []
    places = {count * (nth + 1) // (len(bad.ALL) + 1) or 1: one for nth, one in enumerate(bad.ALL)}
    changes: list[Change] = []
    for number in range(1, count + 1):
        wrong = places.get(number)
        name = f"{number}: bad, {wrong.name}" if wrong else f"{number}"
        changes.append((name, _one(scene, rows, name, number, wrong)))
    began = time.monotonic()
    _, crowd = asyncio.run(traded(scene, changes, traders=clients))
    spans = [one.completed_ns - one.invoked_ns for one in crowd.history if one.completed_ns is not None]
    took_s = time.monotonic() - began
    return Deploys(rows, len(crowd.history), failures(crowd), max(spans, default=0) / 1e6, judge(scene, folder), took_s)


def _one(scene: Scene, rows: list[Row], name: str, number: int, wrong: bad.Bad | None) -> Callable[[], dict[str, Any]]:
    def good() -> dict[str, Any]:
        return scene.deploy(f"{scene.settings}log_level: {LEVELS[number % 3]}\nmax_latency_us: {200 + number}\n")

    def run() -> dict[str, Any]:
        done = good() if wrong is None else wrong_one(scene, wrong)
        rows.append(Row(name, done["result"], done["duration_s"], done.get("cause", ""), done["pauses"]))
        wanted = "ready" if wrong is None else "reverted"
        if done["result"] != wanted:
            rows[-1].problems.append(f"{done['result']}, not {wanted}: {done.get('left', '')}")
        if wrong is not None:
            first = (done.get("message") or "").partition("\n")[0]
            rows[-1].problems += [
                f"the first line lacks {word!r}: {first}" for word in wrong.cause if word not in first
            ]
        return done

    return run


def wrong_one(scene: Scene, wrong: bad.Bad) -> dict[str, Any]:
    """Its rollout's account, and the message that a person reads."""
    settings = scene.settings.replace("timeout_s: 180", f"timeout_s: {wrong.timeout_s}") + wrong.settings
    error = scene.deploy(settings, *wrong.words, expect=(1,))
    return {**error["rollout"], "message": error["message"]}


def report_of(seen: Deploys, clients: int) -> list[str]:
    ends = [row.result for row in seen.rows]
    engines = [ms for row in seen.rows for subject, ms in row.pauses.items() if subject.startswith("engine")]
    return [
        f"{len(seen.rows)} deploys under {clients} clients in {seen.took_s:.0f} s, {seen.requests} requests, "
        f"**{len(seen.failed)} failed** (no answer, 5xx or 429); {ends.count('ready')} ready, "
        f"{ends.count('reverted')} reverted by themselves. History of orders: {seen.judged}.", "",
        f"A deploy's engine was away for {min(engines, default=0):.0f} to {max(engines, default=0):.0f} ms; what came meanwhile waited, "
        f"{seen.slowest_ms:.0f} ms at most, the reverts included.", "",
        *[f"- {line}" for line in [*seen.failed[:20], *seen.judged.problems[:20]]], "",
        "| release | ended | took s | cause, as the first line tells it | problems |", "|---|---|---|---|---|",
        *[
            f"| {row.name} | {row.result} | {row.took_s:.1f} | {row.cause.partition(chr(10))[0].replace('|', '/')[:240]} "
            f"| {'; '.join(row.problems)} |"
            for row in seen.rows
        ], "",
    ]  # fmt: skip
