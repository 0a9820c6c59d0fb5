"""Kill everything, again and again, under load; then ask the history checker whether anything was lost or doubled.

    python -m tests.faults.crash [--rounds 20] [--seed 1] [--report FILE]

Each round lets clients trade, kills one process with SIGKILL at a moment drawn from the seed, and waits until orders are
taken again. Killed are the engine, a gateway, the persister, PostgreSQL, Valkey, nginx, the supervisor, and hftctl itself in
the middle of a stop, a restart, a change of scale, a rollback, or a deploy that changes settings and the number of gateways. After
the supervisor or hftctl, one command repairs; nobody unlocks anything. The first half of the rounds happens to a stack
whose engine takes orders itself, the other half to one whose gateways do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.clients import Connection, Crowd
from tests.faults.conditions import Conditions
from tests.faults.evidence import gather
from tests.faults.history import Verdict, check
from tests.faults.stack import Stack

LAYOUTS = ("engine", "gateway")
VICTIMS = ["engine-0", "gateway-1", "persister-0", "postgres-0", "redis", "nginx", "supervisor", "hftctl"]
RECOVERY_S_MAX = 60.0


@dataclass
class Round:
    number: int
    victim: str
    detail: str = ""
    recovered_s: float = 0.0


@dataclass
class Outcome:
    layout: str
    rounds: list[Round]
    verdict: Verdict
    operations: int
    events: int
    rows: int
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return self.verdict.name == "valid" and not self.problems


async def crash(rounds: int, seed: int, clients: int, round_s: float, layout: str) -> Outcome:
    chance = random.Random(seed)
    stack = Stack.make(f"crash-{seed}-{layout}", f"order_entry: {layout}\n")
    began = time.monotonic()
    try:
        await asyncio.to_thread(stack.deploy)
        crowd = Crowd(stack.http, seed)
        done: list[Round] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.run(clients))
            try:
                for number, victim in enumerate(_victims(rounds, chance), 1):
                    await asyncio.sleep(round_s * chance.uniform(0.3, 1.0))
                    this = Round(number, victim)
                    await _strike(stack, this, chance)
                    struck = time.monotonic()
                    await _recovered(stack)
                    this.recovered_s = round(time.monotonic() - struck, 2)
                    done.append(this)
                    print(
                        f"round {number}: {victim} {this.detail}: orders again after {this.recovered_s} s",
                        file=sys.stderr,
                    )
                await asyncio.sleep(round_s / 2)
            finally:
                crowd.stopping = True
        await asyncio.to_thread(stack.repair)
        evidence = await asyncio.to_thread(gather, stack)
        verdict = check(crowd.history, evidence.truth, incomplete=evidence.incomplete)
        return Outcome(
            layout, done, verdict, len(crowd.history), len(evidence.truth.events), evidence.rows,
            round(time.monotonic() - began, 1), evidence.problems,
        )  # fmt: skip
    finally:
        await asyncio.to_thread(stack.destroy)


def _victims(rounds: int, chance: random.Random) -> list[str]:
    """Everybody gets his turn before anybody gets a second one."""
    drawn: list[str] = []
    while len(drawn) < rounds:
        drawn += chance.sample(VICTIMS, len(VICTIMS))
    return drawn[:rounds]


async def _strike(stack: Stack, this: Round, chance: random.Random) -> None:
    if this.victim == "hftctl":
        words = chance.choice(
            [
                ["deploy", str(stack.profile)],
                ["stop", "-p", stack.name],
                ["restart", chance.choice(["engine", "gateway", "nginx"]), "-p", stack.name],
                ["scale", f"gateway={chance.choice([1, 2, 3])}", "-p", stack.name],
                ["rollback", "-p", stack.name],
            ]
        )
        if words[0] == "deploy":
            stack.want(
                f"gateways: {chance.choice([1, 2, 3])}\nlog_level: {chance.choice(['info', 'warning', 'debug'])}\n"
            )
        process = stack.start_command(*words, "--yes")
        delay_s = chance.uniform(0.1, 2.0)
        await asyncio.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        this.detail = f"{words[0]} after {delay_s:.2f} s"
        await asyncio.to_thread(stack.repair)
        return
    pids = await asyncio.to_thread(stack.pids)
    if this.victim == "supervisor":
        os.kill(pids.pop("supervisor"), signal.SIGKILL)
        if chance.random() < 0.5:
            other = chance.choice(sorted(pids))
            os.kill(pids[other], signal.SIGKILL)
            this.detail = f"and {other}"
        await asyncio.sleep(0.2)
        await asyncio.to_thread(stack.repair)
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pids[this.victim], signal.SIGKILL)


async def _recovered(stack: Stack) -> None:
    """Until the public door answers from the engine again."""
    deadline = time.monotonic() + RECOVERY_S_MAX
    connection = Connection(stack.http)
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, EOFError, TimeoutError, ValueError):
            status, _ = await connection.request("GET", "/book/AAPL?depth=1")
            if status == 200:
                connection.close()
                return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no orders {RECOVERY_S_MAX:.0f} s after the kill: {json.dumps(stack.status())}")


def report_of(outcomes: list[Outcome], seed: int, conditions: Conditions) -> str:
    good = all(outcome.good for outcome in outcomes)
    lines = [
        "# Kill rounds under load", "",
        f"Seed {seed}, {sum(len(o.rounds) for o in outcomes)} rounds: **{'valid' if good else 'FAILED'}**.", "",
        conditions.line(), "",
    ]  # fmt: skip
    for outcome in outcomes:
        killed = Counter(" ".join([r.victim, *r.detail.split()[:1]]) for r in outcome.rounds)
        lines += [
            f"## Layout {outcome.layout}", "",
            f"{len(outcome.rounds)} rounds, {outcome.seconds} s: {outcome.operations} requests, {outcome.events} events"
            f" in the journal, {outcome.rows} rows in PostgreSQL.", "",
            f"Verdict: **{outcome.verdict.name if outcome.good else 'FAILED'}**. {json.dumps(outcome.verdict.counts)}", "",
            *[f"- {line}" for line in [*outcome.verdict.broken[:20], *outcome.verdict.incomplete, *outcome.problems]], "",
            f"Killed: {', '.join(f'{what} {times} times' for what, times in sorted(killed.items()))}.", "",
            "| round | killed | detail | orders again after s |", "|---|---|---|---|",
            *[f"| {r.number} | {r.victim} | {r.detail} | {r.recovered_s} |" for r in outcome.rounds], "",
        ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="in both layouts together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--round-s", type=float, default=2.0)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    conditions = Conditions()
    outcomes = []
    for place, layout in enumerate(LAYOUTS):
        rounds = (options.rounds + 1 - place) // len(LAYOUTS)
        outcomes.append(asyncio.run(crash(rounds, options.seed, options.clients, options.round_s, layout)))
    text = report_of(outcomes, options.seed, conditions)
    if options.report:
        options.report.write_text(text)
    print(text)
    return 0 if all(outcome.good for outcome in outcomes) else 10


if __name__ == "__main__":
    sys.exit(main())
