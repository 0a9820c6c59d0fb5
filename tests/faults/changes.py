"""Change everything that can be changed while 40 clients trade and read: nobody may notice.

    python -m tests.faults.changes [--layout engine|gateway|both] [--seed 1] [--short] [--report FILE]

Scales gateways from 1 to 8 and back, restarts each component, brings up releases with other settings, rolls back to each of
the last five revisions, and tries a release that cannot start. Counted are requests that got no answer, 5xx or 429; the
history checker then looks for orders lost or doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.clients import Crowd
from tests.faults.evidence import gather
from tests.faults.history import Operation, Result, Verdict, check
from tests.faults.readers import HISTORY, Readers
from tests.faults.stack import Stack

TRADERS, READERS, PAUSE_S = 30, 10, 0.02
SETTLE_S = 1.5  # after a command, so that what it left behind is seen too
RESTARTED = ("engine", "gateway", "persister", "redis", "postgres", "nginx", "supervisor")


@dataclass
class Step:
    name: str
    command: Callable[[Stack], dict[str, Any]]
    excused: str = ""  # what its failures are called where the contract says that they may be


@dataclass
class Seen:
    """What clients met during one step."""

    name: str
    took_s: float
    requests: int
    failures: list[str]
    excused: int
    gap_ms: float  # the longest time in which no order of anybody was answered
    slowest_ms: float
    pauses: dict[str, float]


@dataclass
class Outcome:
    layout: str
    steps: list[Seen]
    verdict: Verdict
    problems: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        return [f"{step.name}: {failure}" for step in self.steps for failure in step.failures]

    @property
    def good(self) -> bool:
        return not self.failures and self.verdict.name == "valid" and not self.problems


def hftctl(*words: str) -> Callable[[Stack], dict[str, Any]]:
    return lambda stack: stack.command(*words, "-p", stack.name, "--yes")


def deploy(settings: str) -> Callable[[Stack], dict[str, Any]]:
    def run(stack: Stack) -> dict[str, Any]:
        stack.want(settings)
        return stack.deploy()

    return run


def bad_release(stack: Stack) -> dict[str, Any]:
    """Its engine refuses to start: which orders it refuses would differ from what its journal was begun with."""
    stack.want("engine:\n  max_live_orders: 4096\n")
    error = stack.command("deploy", str(stack.profile), "--yes", expect=(1,))
    assert "max_live_orders" in error["message"], error
    assert error["rollout"]["result"] == "reverted", error
    return error["rollout"]


def steps(short: bool) -> list[Step]:
    numbers = (2, 1) if short else (*range(2, 9), *range(7, 0, -1))
    found = [Step(f"scale gateway={number}", hftctl("scale", f"gateway={number}")) for number in numbers]
    for component in ("engine", "gateway", "nginx") if short else RESTARTED:
        excused = "history" if component == "postgres" else ""
        found.append(Step(f"restart {component}", hftctl("restart", component), excused))
    settings = ("log_level: warning\n", "gateways: 2\nmax_latency_us: 300\n", "gateways: 3\nlog_level: debug\n")
    found += [
        Step(f"deploy {text.strip().replace(chr(10), ', ')}", deploy(text)) for text in settings[: 1 if short else 3]
    ]
    found += [Step("rollback", hftctl("rollback"))] if short else [_rollback(back) for back in range(1, 6)]
    return [*found, Step("a release that cannot start", bad_release)]


def _rollback(back: int) -> Step:
    """To the nth revision before the newest that stood when rollbacks began: each adds one to the history."""

    def run(stack: Stack) -> dict[str, Any]:
        newest = stack.command("history", "-p", stack.name)["revisions"][-1]["number"]
        return stack.command("rollback", str(newest - (back - 1) - back), "-p", stack.name, "--yes")

    return Step(f"rollback by {back}", run)


async def changes(layout: str, seed: int, short: bool) -> Outcome:
    stack = Stack.make(f"changes-{layout}", f"order_entry: {layout}\n")
    try:
        await asyncio.to_thread(stack.deploy)
        crowd = Crowd(stack.http, seed, pause_s=PAUSE_S)
        readers = Readers(crowd, PAUSE_S)
        seen: list[Seen] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.run(TRADERS))
            group.create_task(readers.run(READERS))
            try:
                await asyncio.sleep(SETTLE_S)
                for step in steps(short):
                    seen.append(await _taken(stack, step, crowd, readers))
                    last = seen[-1]
                    print(
                        f"{layout}: {last.name}: {last.took_s:.1f} s, {last.requests} requests, {len(last.failures)} failed, "
                        f"gap {last.gap_ms:.0f} ms {last.failures[:3]}",
                        file=sys.stderr,
                    )
            finally:
                crowd.stopping = True
        evidence = await asyncio.to_thread(gather, stack)
        verdict = check(crowd.history, evidence.truth, incomplete=evidence.incomplete)
        return Outcome(layout, seen, verdict, evidence.problems)
    finally:
        await asyncio.to_thread(stack.destroy)


async def _taken(stack: Stack, step: Step, crowd: Crowd, readers: Readers) -> Seen:
    orders, reads, began = len(crowd.history), len(readers.done), time.monotonic_ns()
    result = await asyncio.to_thread(step.command, stack)
    took_s = (time.monotonic_ns() - began) / 1e9
    await asyncio.sleep(SETTLE_S)
    placed, read = crowd.history[orders:], readers.done[reads:]
    await _answered(placed)
    failed = [f for o in placed if (f := _order_failed(o))]
    failed_reads = [r for r in read if r.status != 200]
    excused = [r for r in failed_reads if step.excused == "history" and r.path.startswith(HISTORY) and r.status == 503]
    failed += [f"GET {r.path} -> {r.status} {r.code}" for r in failed_reads if r not in excused]
    ends = sorted([began, *(o.completed_ns for o in placed if o.completed_ns and o.result is not Result.UNKNOWN)])
    gap_ms = max((b - a for a, b in itertools.pairwise(ends)), default=0) / 1e6
    spans = [o.completed_ns - o.invoked_ns for o in placed if o.completed_ns]
    spans += [r.ended_ns - r.began_ns for r in read]
    return Seen(
        step.name, took_s, len(placed) + len(read), failed, len(excused), gap_ms, max(spans, default=0) / 1e6,
        result.get("pauses", {}),
    )  # fmt: skip


async def _answered(operations: list[Operation]) -> None:
    """Until those that are under way have their answer, or will never get one."""
    async with asyncio.timeout(30):
        while operations := [o for o in operations if o.completed_ns is None and not o.gave_up]:
            await asyncio.sleep(0.01)


def _order_failed(operation: Operation) -> str:
    if operation.completed_ns is None:
        return f"{operation.op} {operation.client_order_id} got no answer: {operation.response.get('code')}"
    if operation.status >= 500 or operation.status == 429:
        return f"{operation.op} {operation.client_order_id} -> {operation.status} {operation.response.get('code')}"
    return ""


def report_of(outcomes: list[Outcome], seed: int) -> str:
    lines = [
        "# Changes under load", "",
        f"`python -m tests.faults.changes --seed {seed}`: {TRADERS} clients trade and {READERS} read through nginx, each with "
        f"{1000 * PAUSE_S:.0f} ms between an answer and its next request, on a machine that others used too.", "",
        "A request failed when it got no answer, 5xx or 429. `gap` is the longest time in which no order of anybody was "
        "answered, `slowest` the longest any request took, `paused` what hftctl printed.", "",
    ]  # fmt: skip
    for outcome in outcomes:
        total = sum(step.requests for step in outcome.steps)
        lines += [
            f"## order_entry: {outcome.layout}", "",
            f"{len(outcome.steps)} changes, {total} requests, **{len(outcome.failures)} failed**. History of orders: "
            f"**{outcome.verdict.name}** {outcome.verdict.counts}", "",
            *[f"- {line}" for line in [*outcome.failures[:30], *outcome.verdict.broken[:20], *outcome.problems]], "",
            "| change | took s | requests | failed | gap ms | slowest ms | paused |", "|---|---|---|---|---|---|---|",
            *[
                f"| {s.name} | {s.took_s:.1f} | {s.requests} | {len(s.failures)}"
                f"{f' (and {s.excused} lists from PostgreSQL answered 503, as stated)' if s.excused else ''} | {s.gap_ms:.0f} "
                f"| {s.slowest_ms:.0f} | {', '.join(f'{name} {ms:.0f} ms' for name, ms in s.pauses.items())} |"
                for s in outcome.steps
            ], "",
        ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layout", choices=["engine", "gateway", "both"], default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    layouts = ["engine", "gateway"] if options.layout == "both" else [options.layout]
    outcomes = [asyncio.run(changes(layout, options.seed, options.short)) for layout in layouts]
    text = report_of(outcomes, options.seed)
    if options.report:
        options.report.write_text(text)
    print(text)
    return 0 if all(outcome.good for outcome in outcomes) else 10


if __name__ == "__main__":
    sys.exit(main())
