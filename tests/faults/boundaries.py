"""Kill hftctl at every write to the rollout journal, before it and after it, while orders go on.

    python -m tests.faults.boundaries [--verbs deploy,scale,restart,rollback,destroy] [--seed 1] [--every N] [--report FILE]

After each kill `rollout status` must tell the truth, and `rollout continue`, `rollout abort` or the same command again, in
turn, must lead to exactly the new or the old revision. Nobody unlocks anything. At the end the history checker looks for
orders lost or doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.clients import Crowd
from tests.faults.evidence import gather
from tests.faults.history import Verdict, check
from tests.faults.killed import SEEN
from tests.faults.stack import ROOT, Stack

CLIENTS, PAUSE_S = 8, 0.05
SMALL = "order_entry: gateway\nenable_hft_mode: false\n"
RATES = itertools.count(1)  # never the same twice: what stands after a kill may be the old release or the new one


@dataclass
class Kill:
    verb: str
    point: str
    told: str
    way: str
    result: str
    took_s: float
    problems: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """Of hftctl ended many times under load, here and in hasty.py."""

    ends: Sequence[Any]  # each with its `problems`
    verdict: Verdict
    problems: list[str]

    @property
    def good(self) -> bool:
        return self.verdict.name == "valid" and not self.problems and not any(end.problems for end in self.ends)

    def lines(self) -> list[str]:
        """For the report."""
        said = f"history of orders: {self.verdict.name} {self.verdict.counts}"
        wrong = [*self.verdict.broken[:20], *self.verdict.incomplete, *self.problems]
        return [f"Verdict: **{'good' if self.good else 'FAILED'}**; {said}", "", *(f"- {line}" for line in wrong), ""]


def words_of(stack: Stack, verb: str) -> list[str]:
    """A command that has something to do now."""
    named = ["-p", stack.name, "--yes"]
    match verb:
        case "deploy":
            stack.want(f"latency_profiling:\n  sample_rate: {1 - next(RATES) / 10_000}\n")
            return ["deploy", str(stack.profile), "--yes"]
        case "scale":
            now = sum(name.startswith("gateway-") for name in stack.pids())
            return ["scale", f"gateway={3 - now}", *named]
        case "restart":
            return ["restart", "engine", "persister", *named]
        case "rollback":
            for _ in range(2):  # so that each of them takes the same back, and passes the same points
                stack.want(f"latency_profiling:\n  sample_rate: {1 - next(RATES) / 10_000}\n")
                stack.deploy()
            return ["rollback", *named]
    return ["destroy", *named]


def killed(stack: Stack, point: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.killed", point, *words], cwd=ROOT, env=stack.environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def points(stack: Stack, verb: str) -> list[str]:
    """Those that differ: between an entry written and the next one begun nothing happens, so one of the two is enough."""
    done = killed(stack, "list", words_of(stack, verb))
    assert done.returncode == 0, done.stderr
    passed = [line[len(SEEN) :] for line in done.stderr.splitlines() if line.startswith(SEEN)]
    whole = [point for point in passed if not point.startswith("before") or not point.endswith("intent")]
    if verb == "destroy":
        stack.deploy()
    return whole


def every(nth: int, found: list[str]) -> list[str]:
    return [point for index, point in enumerate(found) if index % nth == 0 or index == len(found) - 1]


def strike(stack: Stack, verb: str, point: str, way: str) -> Kill:
    began = time.monotonic()
    words = words_of(stack, verb)
    before = stack.status()["revision"]["number"]
    done = killed(stack, point.split(maxsplit=1)[0], words)
    this = Kill(verb, point, "", way, "", 0.0)
    if done.returncode != -9:
        this.problems.append(f"it was not killed: exit {done.returncode} {done.stderr[-300:]}")
    told = stack.command("rollout", "status", "-p", stack.name, expect=(0, 9))
    this.told = told["state"]
    last = point.endswith(" end") and point.startswith("after")
    first = point == "before:0 begin"
    if (this.told == "interrupted") == (last or first) or told["holder"]:
        this.problems.append(f"rollout status says {told['message']} {told['holder']}")
    if way == "again":
        result = stack.command(*words, expect=(0, 13))
    else:
        result = stack.command("rollout", way, "-p", stack.name, "--yes")
    this.result = str(result.get("result", result.get("code", "")))
    if verb == "destroy":
        stack.deploy()
    else:
        this.problems += not_whole(stack, before)
    this.took_s = time.monotonic() - began
    return this


def not_whole(stack: Stack, before: int) -> list[str]:
    status = stack.status()
    problems = (
        [] if status["state"] == "ready" and not status["rollout"] else [f"{status['state']}: {status['message']}"]
    )
    problems += [f"{f['subject']} {f['message']}" for f in status["findings"] if "differs" in f["message"]]
    if status["revision"]["number"] not in {before, before + 1, before + 2}:
        problems.append(f"revision {status['revision']['number']} after {before}")
    return problems


async def boundaries(verbs: list[str], seed: int, pick: Callable[[list[str]], list[str]]) -> Outcome:
    stack = Stack.make(f"bounds-{seed}", SMALL)
    kills: list[Kill] = []
    ways = itertools.cycle(["continue", "abort", "again"])
    try:
        await asyncio.to_thread(stack.deploy)
        crowd = Crowd(stack.http, seed, pause_s=PAUSE_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.run(CLIENTS))
            try:
                for verb in verbs:
                    for point in pick(await asyncio.to_thread(points, stack, verb)):
                        kills.append(await asyncio.to_thread(strike, stack, verb, point, next(ways)))
                        k = kills[-1]
                        print(
                            f"{verb} {point}: {k.told}, {k.way}: {k.result} {k.took_s:.1f} s {k.problems}",
                            file=sys.stderr,
                        )
            finally:
                crowd.stopping = True
        evidence = await asyncio.to_thread(gather, stack)
        verdict = check(crowd.history, evidence.truth, incomplete=evidence.incomplete)
        return Outcome(kills, verdict, evidence.problems)
    finally:
        await asyncio.to_thread(stack.destroy)


def report_of(outcome: Outcome, seed: int, nth: int, took_s: float) -> str:
    which = "" if nth == 1 else f" Of each verb the first point, every {nth}th from it, and the last were tried."
    lines = [
        "# hftctl killed at every journal boundary", "",
        f"Seed {seed}, {len(outcome.ends)} kills, {CLIENTS} clients trading all the time. Each point is the nth write of the command "
        "to its journal (or its record of the revision), before or after it; then the way back named in the row. "
        f"Between an entry written and the next one begun nothing happens, so one of the two is enough.{which} Took {took_s:.0f} s.", "",
        *outcome.lines(),
        "| verb | killed | rollout status | then | result | took s | problems |", "|---|---|---|---|---|---|---|",
        *[
            f"| {k.verb} | {k.point} | {k.told} | {k.way} | {k.result} | {k.took_s:.1f} | {'; '.join(k.problems)} |"
            for k in outcome.ends
        ], "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verbs", default="deploy,scale,restart,rollback,destroy")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--every", type=int, default=1, help="of each verb the first point, every nth from it, and the last"
    )
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    outcome = asyncio.run(boundaries(options.verbs.split(","), options.seed, partial(every, options.every)))
    text = report_of(outcome, options.seed, options.every, time.monotonic() - began)
    if options.report:
        options.report.write_text(text)
    print(text)
    return 0 if outcome.good else 10


if __name__ == "__main__":
    sys.exit(main())
