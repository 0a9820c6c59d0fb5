"""End hftctl at any moment, by kill -9, Ctrl-C or SIGTERM, alone or two at once, while orders go on.

    python -m tests.faults.hasty [--rounds 20] [--seed 1] [--report FILE]

The moments are not those of its journal (boundaries.py has them) but of a clock: while it reads, plans, waits, proves, talks to
the supervisor, or has ended already. After each, `rollout status` must name nobody as working, and `rollout continue`, `rollout
abort` or `start` must lead to a whole revision. hftctl may end with its documented codes and never with a bug (70). Some rounds
start a second one at once: it ends with 6 and names the first, or does its work after it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.boundaries import CLIENTS, PAUSE_S, SMALL, Outcome, not_whole, words_of
from tests.faults.clients import Crowd
from tests.faults.evidence import gather
from tests.faults.history import check
from tests.faults.stack import ROOT, Stack

VERBS = ("deploy", "scale", "restart", "rollback", "stop", "start")
ENDS = {
    "SIGKILL": [signal.SIGKILL],
    "SIGINT": [signal.SIGINT],
    "SIGTERM": [signal.SIGTERM],
    "SIGINT twice": [signal.SIGINT] * 2,
}
LONGEST_S = 8.0  # a command takes about so long here; a later moment finds it ended
KILLED, HELD = -9, 6
ENDED = {
    -2,
    -15,
}  # Python's own way with a Ctrl-C that met it in an `exec`, which shells show as 130; SIGTERM outside a rollout
DOCUMENTED = {0, 1, 4, 5, 6, 7, 8, 12, 13, 130, KILLED, *ENDED}


@dataclass
class Round:
    verb: str
    end: str
    after_s: float
    code: int = 0
    other: int | None = None  # exit code of a second one, started beside it
    told: str = ""
    way: str = ""
    problems: list[str] = field(default_factory=list)


def _words(stack: Stack, verb: str) -> list[str]:
    return [verb, "-p", stack.name, "--yes"] if verb in {"stop", "start"} else words_of(stack, verb)


def _begin(stack: Stack, words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hftctl", *words], cwd=ROOT, env=stack.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def strike(stack: Stack, dice: random.Random) -> Round:
    this = Round(dice.choice(VERBS), dice.choice(list(ENDS)), round(dice.uniform(0, LONGEST_S), 2))
    two, way = dice.random() < 0.3, dice.choice(["continue", "abort", "start"])
    words = _words(stack, this.verb)
    before = stack.status()["revision"]["number"]
    process = _begin(stack, words)
    other = _begin(stack, ["restart", "gateway-1", "-p", stack.name, "--yes"]) if two else None
    time.sleep(this.after_s)
    for number in ENDS[this.end]:
        process.send_signal(number)
        time.sleep(0.05)  # between two presses of Ctrl-C
    said = process.communicate(timeout=120)[1]
    this.code = process.returncode
    if other is not None:
        told = other.communicate(timeout=120)[1]
        this.other = other.returncode
        if this.other == HELD and "lock" not in told:
            this.problems.append(f"the second one does not say who holds the lock: {told[-200:]}")
    for code, text in ((this.code, said), *([(this.other, told)] if other is not None else [])):
        if code not in DOCUMENTED or "Traceback" in text:
            this.problems.append(f"exit {code}: {text[-300:]}")
    return _converged(stack, this, way, before)


def _converged(stack: Stack, this: Round, way: str, before: int) -> Round:
    told = stack.command("rollout", "status", "-p", stack.name, expect=(0, 9))
    this.told = told["state"]
    if told["holder"]:
        this.problems.append(f"nobody works, and {told['holder']} is said to hold the lock")
    if this.told == "interrupted" and way != "start" and this.verb not in {"stop", "start"}:
        this.way = way
        stack.command("rollout", way, "-p", stack.name, "--yes")
    if stack.status()["state"] != "ready":
        this.way = f"{this.way} start".strip()
        stack.repair()
    this.problems += not_whole(stack, before)
    return this


async def hasty(count: int, seed: int) -> Outcome:
    stack, dice, rounds = Stack.make(f"hasty-{seed}", SMALL), random.Random(seed), list[Round]()
    try:
        for _ in range(2):  # so that there is a revision to roll back to
            stack.want(f"max_latency_us: {200 + dice.randrange(1000)}\n")
            await asyncio.to_thread(stack.deploy)
        crowd = Crowd(stack.http, seed, pause_s=PAUSE_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.run(CLIENTS))
            try:
                for _ in range(count):
                    rounds.append(await asyncio.to_thread(strike, stack, dice))
                    print(rounds[-1], file=sys.stderr, flush=True)
            finally:
                crowd.stopping = True
        evidence = await asyncio.to_thread(gather, stack)
        verdict = check(crowd.history, evidence.truth, incomplete=evidence.incomplete)
        return Outcome(rounds, verdict, evidence.problems)
    finally:
        await asyncio.to_thread(stack.destroy)


def report_of(outcome: Outcome, seed: int, took_s: float) -> str:
    lines = [
        "# hftctl ended at any moment", "",
        f"Seed {seed}, {len(outcome.ends)} rounds, {CLIENTS} clients trading all the time, {took_s:.0f} s.", "",
        *outcome.lines(),
        "| verb | ended by | after s | exit | a second one | rollout status | then | problems |", "|---|---|---|---|---|---|---|---|",
        *[
            f"| {r.verb} | {r.end} | {r.after_s} | {r.code} | {'' if r.other is None else r.other} | {r.told} | {r.way} | "
            f"{'; '.join(r.problems)} |"
            for r in outcome.ends
        ], "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    outcome = asyncio.run(hasty(options.rounds, options.seed))
    text = report_of(outcome, options.seed, time.monotonic() - began)
    if options.report:
        options.report.write_text(text)
    print(text)
    return 0 if outcome.good else 10


if __name__ == "__main__":
    sys.exit(main())
