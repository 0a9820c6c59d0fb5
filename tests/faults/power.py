"""Cut the power of an engine under load, again and again; then ask the history checker whether anything was lost.

    python -m tests.faults.power [--cuts 100] [--seed 1] [--without-syncs] [--report FILE]

The shim records all that the engine writes and syncs while clients trade with it. A cut is a moment of that recording: what
was synced by then is there, of everything else a subset drawn from the seed (image.py). The engine is then started on what is
left: what was acknowledged before the moment must be there, the start must not call the journal damaged, its book must be
the one that a replay gives, and it must take orders. Some rounds begin with an empty disk, the others with what a cut left, so
that starts and repairs are cut as well. Moments near a new name or size, and those in the middle of a sync,
are drawn as often as all others.

With --without-syncs the engine's syncs do nothing: then orders must be found lost, or this program could not find any.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import engine
from engine.journal import CHAIN_START
from engine.records import Event, unpack_events
from stack.matcher.journal_read import Damage, Stretch, read_journal, replay
from stack.matcher.verify import Verification
from tests.faults import shim
from tests.faults.conditions import Conditions
from tests.faults.history import Operation, Result, Truth, check
from tests.faults.lone_engine import LoneCrowd, LoneEngine
from tests.faults.shim.image import Disk, Entry, Fate, Kind, read_log

CUTS_PER_RUN = 4
RUNS_PER_DISK = 5
FATES = [Fate.LOST, Fate.PAGES, Fate.PAGES, Fate.TORN, Fate.TORN, Fate.TORN, Fate.KEPT]
_TURNING = {Kind.CREATE, Kind.MKDIR, Kind.RENAME, Kind.UNLINK, Kind.SIZE}


@dataclass
class Cut:
    number: int
    fate: Fate
    moment: str  # what had just happened
    first_start: bool
    acknowledged: int = 0  # before the moment
    lost: int = 0
    torn: bool = False
    problems: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    cuts: list[Cut]
    requests: int
    syncs: int
    seconds: float

    @property
    def lost(self) -> int:
        return sum(cut.lost for cut in self.cuts)

    @property
    def problems(self) -> list[str]:
        return [
            f"cut {cut.number} ({cut.fate}, after {cut.moment}): {text}" for cut in self.cuts for text in cut.problems
        ]


class Storm:
    """One disk, from its first start on, through runs and cuts."""

    def __init__(self, folder: Path, seed: str, drop_syncs: bool) -> None:
        self.folder, self.drop_syncs = folder, drop_syncs
        self.chance = random.Random(seed)
        self.seed = seed
        self.runs = 0
        self.history: list[Operation] = []  # of the line of images that we go on with
        self.records_per_segment = self.chance.choice([16, 30, 60, 200])
        self.image = folder / "image-0"
        self.image.mkdir(parents=True)
        self.requests = self.syncs = 0

    def run(self, cuts: int, first_number: int) -> list[Cut]:
        """Trade on the newest image until a kill; cut the recording `cuts` times; go on with the last image."""
        self.runs += 1
        folder = self.folder / f"run-{self.runs}"
        folder.mkdir()
        self.image.rename(folder / "disk")
        lone = LoneEngine(folder, self.records_per_segment)
        disk = Disk(lone.disk)
        log = folder / "log"
        log.touch()
        lone.start(shim.environment(lone.disk, log=log, drop_syncs=self.drop_syncs))
        history = [*self.history, *asyncio.run(asyncio.wait_for(self._trade(lone, log), 90))]
        entries = list(read_log(log))
        self.requests += len(history) - len(self.history)
        self.syncs += sum(entry.kind == Kind.SYNC_END for entry in entries)
        made = []
        for index, place in enumerate(sorted(self._moment(entries) for _ in range(cuts))):
            made.append(self._cut(disk, entries, place, history, first_number + index))
        shutil.rmtree(folder)
        return made

    async def _trade(self, lone: LoneEngine, log: Path) -> list[Operation]:
        seed = self.chance.randrange(1 << 30)
        async with lone.link() as link:
            if not await lone.connected(link):
                raise AssertionError(f"the engine did not start on what a cut had left: {lone.said()[-1:]}")
            crowd = LoneCrowd(lone, link, seed, lambda: log.stat().st_size)
            await crowd.trade(self.chance.choice([3, 12, 32]), self.chance.choice([5, 60, 150, 300]))
        for operation in crowd.history:
            operation.recorded_at = operation.recorded_at or 1 << 62
        return crowd.history

    def _moment(self, entries: list[Entry]) -> int:
        """How many entries are before it; at least one, by which it is named and dated."""
        dice = self.chance.random()
        if dice < 0.35:
            turning = [place for place, entry in enumerate(entries) if entry.kind in _TURNING]
            return max(1, min(len(entries), self.chance.choice(turning) + self.chance.randint(0, 2)))
        if dice < 0.7:
            synced = [
                p for p, (a, b) in enumerate(pairwise(entries)) if (a.kind, b.kind) == (Kind.WRITE, Kind.SYNC_BEGIN)
            ]
            weights = [len(entries[place].data.rstrip(b"\0")) for place in synced]  # long writes tear best, zeros never
            return self.chance.choices(synced, weights)[0] + self.chance.randint(1, 2) if any(weights) else len(entries)
        return self.chance.randint(1, len(entries))

    def _cut(self, disk: Disk, entries: list[Entry], place: int, history: list[Operation], number: int) -> Cut:
        for entry in entries[disk.followed : place]:
            disk.follow(entry)
        last = entries[place - 1]
        what = f"{last.kind.name.lower().replace('_', ' ')}{f' {last.path.name}' if last.path.name else ''}"
        this = Cut(number, self.chance.choice(FATES), what, self.runs == 1)
        self.image = self.folder / f"image-{number}"
        disk.cut(self.image, this.fate, self.chance, at_the_end=place == len(entries))
        self.history = [_known_at(operation, last.end) for operation in history]
        this.acknowledged = sum(operation.result is Result.OK for operation in self.history)
        folder = self.folder / f"check-{number}"
        folder.mkdir()
        self.image.rename(folder / "disk")
        try:
            self._check(LoneEngine(folder, self.records_per_segment), this)
        finally:
            (folder / "disk").rename(self.image)
            shutil.rmtree(folder)
        return this

    def _check(self, lone: LoneEngine, this: Cut) -> None:
        try:
            events, this.torn = replayed(lone.data / "journal")
        except Damage as damage:
            this.problems.append(f"called damaged: {damage}")
            this.lost = this.acknowledged
            return
        verdict = check(self.history, Truth.of(0, events))
        this.lost = sum(text.startswith("LOST") for text in verdict.broken)
        this.problems += verdict.broken
        if this.problems:
            return
        lone.start()
        try:
            this.problems += asyncio.run(asyncio.wait_for(self._use(lone), 90))
        finally:
            code = lone.end()
        if this.problems:
            return
        verification = Verification(lone.data)
        verification.run()
        this.problems += verification.report["problems"]
        if code or (said := lone.said("critical")):
            this.problems.append(f"exit {code}: {said}")
        elif verification.report["torn_tail"]:
            this.problems.append(f"still torn after a clean end: {verification.report['torn_tail']}")

    async def _use(self, lone: LoneEngine) -> list[str]:
        """Ask again for what was acknowledged, trade on, compare its book with a replay's."""
        async with lone.link() as link:
            if not await lone.connected(link):
                return [f"did not start: {lone.said()[-1:]}"]
            crowd = LoneCrowd(lone, link, self.chance.randrange(1 << 30))
            told = [o for o in self.history if o.result is Result.OK and o.body]
            problems = await crowd.ask_again(self.chance.sample(told, min(20, len(told))))
            before = crowd.acknowledged
            await crowd.trade(4, before + 20, kill=False)
            if crowd.acknowledged < before + 20:
                problems.append(f"it took only {crowd.acknowledged - before} orders afterwards")
            state = (await link.query("state")).document
        self.history += crowd.history
        book = Verification(lone.data)
        book.run()
        if (book.report["records"], book.report["state_hash"]) != (state["sequence"], state["state_hash"]):
            problems.append(f"its book is {state}, a replay gives {book.report['records']} {book.report['state_hash']}")
        return problems


def _known_at(operation: Operation, position: int) -> Operation:
    """Of what came after the cut nobody knows whether it happened."""
    if operation.recorded_at <= position:
        return replace(operation, recorded_at=0)
    return replace(operation, completed_ns=None, status=0, response={}, result=Result.UNKNOWN, recorded_at=0)


def replayed(journal: Path) -> tuple[list[Event], bool]:
    """All events that a journal gives, and whether it has a torn tail. Raises Damage."""
    events: list[Event] = []
    torn = False
    if not journal.is_dir():
        return events, torn
    matcher = engine.create("auto", max_live_orders=1 << 14, client_ids_max=1 << 14)
    events_hash = CHAIN_START
    for found in read_journal(journal, 0):
        if isinstance(found, Stretch):
            torn = torn or bool(found.torn)
            for group in replay(matcher, found, events_hash):
                events_hash = group.events_hash
                events += unpack_events(group.events)
        else:
            torn = torn or found.torn_header
    return events, torn


def storm(cuts: int, seed: int, *, drop_syncs: bool = False, until_lost: bool = False) -> Outcome:
    """`until_lost`: a loss is what is looked for, so stop at the first one; an image that lost something is not gone on with."""
    began = time.monotonic()
    made: list[Cut] = []
    requests = syncs = disks = 0
    with tempfile.TemporaryDirectory(prefix="power-") as home:
        while len(made) < cuts and not (until_lost and any(cut.lost for cut in made)):
            disks += 1
            one = Storm(Path(home) / f"disk-{disks}", f"{seed}/{disks}", drop_syncs)
            for _ in range(RUNS_PER_DISK):
                made += one.run(min(CUTS_PER_RUN, cuts - len(made)), len(made) + 1)
                if len(made) >= cuts or any(cut.problems for cut in made[-CUTS_PER_RUN:]):
                    break
            requests += one.requests
            syncs += one.syncs
            shutil.rmtree(one.folder)
    return Outcome(made, requests, syncs, round(time.monotonic() - began, 1))


def report_of(outcome: Outcome, control: Outcome, seed: int, conditions: Conditions) -> str:
    torn = sum(cut.torn for cut in outcome.cuts)
    by_fate = Counter(cut.fate for cut in outcome.cuts)
    lines = [
        "# Power cuts under load", "",
        f"Seed {seed}, {len(outcome.cuts)} cuts, {outcome.seconds} s: {outcome.requests} requests, {outcome.syncs} syncs recorded;"
        f" {sum(cut.acknowledged for cut in outcome.cuts)} acknowledgements looked for after the cuts.", "", conditions.line(), "",
        f"Verdict: **{'valid' if not outcome.problems else 'FAILED'}**: {outcome.lost} acknowledged orders lost,"
        f" {len(outcome.problems)} problems. {torn} cuts left a torn tail or header, which the next start cut off.", "",
        f"Control, the same with syncs that do nothing: {control.lost} acknowledged orders found lost in {len(control.cuts)} cuts.", "",
        *[f"- {line}" for line in outcome.problems[:20]],
        "", "| what became of unsynced changes | cuts |", "|---|---|", *[f"| {fate} | {by_fate[fate]} |" for fate in Fate], "",
        "| cut | unsynced changes | the moment: just after | acknowledged before | lost | torn |", "|---|---|---|---|---|---|",
        *[
            f"| {c.number}{' (first start)' if c.first_start else ''} | {c.fate} | {c.moment} | {c.acknowledged} | {c.lost} |"
            f" {'yes' if c.torn else ''} |"
            for c in outcome.cuts
        ], "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-syncs", action="store_true", help="only the control: the syncs do nothing")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    conditions = Conditions()
    control = storm(20, options.seed, drop_syncs=True)
    if options.without_syncs:
        print(json.dumps({"cuts": len(control.cuts), "lost": control.lost}))
        return 10 if control.lost else 0
    outcome = storm(options.cuts, options.seed)
    text = report_of(outcome, control, options.seed, conditions)
    if options.report:
        options.report.write_text(text)
    print(text)
    return 0 if control.lost and not outcome.problems else 10


if __name__ == "__main__":
    sys.exit(main())
