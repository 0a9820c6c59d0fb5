"""Kill an engine at its Nth sync, before and after it, for N = 1, 2, 3 ...; what it acknowledged must be there.

    python -m tests.faults.nth_sync [--up-to 200] [--seed 1] [--report FILE]

Every engine is killed by the shim inside its Nth fsync or fdatasync, while clients trade with it. Up to N = 40 it begins with an
empty disk, so that every sync of a first start has its turn; later ones go on with what the kill before has left, ten times in a
row. After each kill the journal is replayed and compared with what the clients were told; after each disk's last one, the
engine is started cleanly, asked again, and must take orders.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from stack.matcher.journal_read import Damage
from stack.matcher.verify import Verification
from tests.faults import shim
from tests.faults.conditions import Conditions
from tests.faults.history import Op, Operation, Result, Truth, check
from tests.faults.lone_engine import LoneCrowd, LoneEngine
from tests.faults.power import replayed

FRESH_UP_TO = 40
KILLS_PER_DISK = 10


@dataclass
class Outcome:
    kills: dict[str, int] = field(default_factory=lambda: {"before": 0, "after": 0})
    starts: int = 0
    acknowledged: int = 0  # checked after the kills, all together
    requests: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class OneDisk:
    def __init__(self, folder: Path, outcome: Outcome, chance: random.Random) -> None:
        self.lone = LoneEngine(folder, chance.choice([16, 30, 60, 200]))
        self.outcome, self.chance = outcome, chance
        self.history: list[Operation] = []
        self.kills = 0

    def kill(self, at: int, when: str) -> None:
        self.kills += 1
        self.outcome.starts += 1
        self.lone.start(shim.environment(self.lone.disk, fault=f"sync:{at}:{when}"))
        asyncio.run(asyncio.wait_for(self._trade(), 90))
        code = self.lone.end(signal.SIGKILL)
        if code != -signal.SIGKILL:
            self._problem(at, when, [f"it ended with {code}: {self.lone.said('critical')[-1:]}"])
            return
        self.outcome.kills[when] += 1
        try:
            events, _ = replayed(self.lone.data / "journal")
        except Damage as damage:
            self._problem(at, when, [f"called damaged: {damage}"])
            return
        self.outcome.acknowledged += sum(operation.result is Result.OK for operation in self.history)
        self._problem(at, when, check(self.history, Truth.of(0, events)).broken)

    async def _trade(self) -> None:
        async with self.lone.link() as link:
            if await self.lone.connected(link):
                crowd = LoneCrowd(self.lone, link, self.chance.randrange(1 << 30))
                await crowd.trade(self.chance.choice([1, 4, 12]), 1 << 62)
                self.history += crowd.history
                self.outcome.requests += len(crowd.history)

    def check(self, at: int, when: str) -> None:
        """A clean start at the end: everything is as it was said, and it goes on."""
        self.outcome.starts += 1
        self.lone.start()
        problems = asyncio.run(asyncio.wait_for(self._ask(), 90))
        if code := self.lone.end():
            problems.append(f"a clean start ended with {code}: {self.lone.said('critical')[-1:]}")
        verification = Verification(self.lone.data)
        verification.run()
        self._problem(at, when, problems + verification.report["problems"])

    async def _ask(self) -> list[str]:
        async with self.lone.link() as link:
            if not await self.lone.connected(link):
                return [f"did not start: {self.lone.said()[-1:]}"]
            crowd = LoneCrowd(self.lone, link, self.chance.randrange(1 << 30))
            told = [o for o in self.history if o.op is Op.PLACE and o.result is Result.OK]
            problems = await crowd.ask_again(self.chance.sample(told, min(50, len(told))))
            before = crowd.acknowledged
            await crowd.trade(4, before + 20, kill=False)
            if crowd.acknowledged < before + 20:
                problems.append("it takes no orders afterwards")
            return problems

    def _problem(self, at: int, when: str, texts: list[str]) -> None:
        self.outcome.problems += [f"killed {when} sync {at}: {text}" for text in texts]


def kill_at_each(numbers: Iterable[int], seed: int) -> Outcome:
    outcome, began = Outcome(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nth-sync-") as home:
        disk: OneDisk | None = None
        for at in numbers:
            for when in ("before", "after"):
                if disk is None:
                    folder = Path(home) / f"{at}-{when}"
                    folder.mkdir()
                    disk = OneDisk(folder, outcome, random.Random(f"{seed}/{at}/{when}"))
                disk.kill(at, when)
                if at <= FRESH_UP_TO or disk.kills >= KILLS_PER_DISK:
                    disk.check(at, when)
                    disk = None
                print(f"sync {at} {when}: {len(outcome.problems)} problems so far", file=sys.stderr)
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


def report_of(outcome: Outcome, up_to: int, seed: int, conditions: Conditions) -> str:
    good = not outcome.problems
    lines = [
        "# Killed at the Nth sync", "",
        f"N = 1 to {up_to}, before and after the sync, seed {seed}, {outcome.seconds} s: {outcome.kills['before']} kills before,"
        f" {outcome.kills['after']} after a sync, {outcome.starts} starts, {outcome.requests} requests,"
        f" {outcome.acknowledged} acknowledgements looked for in the journals after the kills.", "", conditions.line(), "",
        f"Verdict: **{'valid' if good else 'FAILED'}**: {'nothing' if good else len(outcome.problems)} lost, doubled or refused.", "",
        *[f"- {line}" for line in outcome.problems[:20]],
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--up-to", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    conditions = Conditions()
    outcome = kill_at_each(range(1, options.up_to + 1), options.seed)
    text = report_of(outcome, options.up_to, options.seed, conditions)
    if options.report:
        options.report.write_text(text)
    print(text)
    return 10 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
