"""Commands to an engine that is killed again and again, held against one that never was.

    python -m tests.stack.matcher.fuzz_restarts [--seconds N] [--seed N]

Every seed is one stream: orders near every limit, ids used again, rolls of ids, halts, instruments that close, accounts that
come. At some turns the engine dies, before its commands were written or after, and they are sent once more; the other
engine is sent the same and does not die. It starts from snapshots, or from the journal alone. Every reply, the event log, the
state's hash and what the engine makes of every id must be the same. Exit code 10, with the seed, when they are not.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from engine.records import POST_ONLY, Command, CommandKind, InstrumentState, OrderType, Side, TimeInForce
from stack.matcher import packed, snapshot
from stack.matcher.definitions import missing
from stack.matcher.partition import Partition
from stack.matcher.start import lock_data, open_partition
from stack.settings import EngineSettings
from stack.wire.frames import REPLY
from stack.wire.tables import Tables
from tests.stack.matcher.engines import cancel, new, submit
from tests.stack.matcher.fuzz_session import fuzzed
from tests.stack.matcher.seeds import try_seeds

TURNS = 60
IN_BATCHES = (CommandKind.NEW, CommandKind.CANCEL, CommandKind.REPLACE)
MEMORY = Path("/dev/shm")  # processes die here, never the power


class Turn(NamedTuple):
    commands: list[bytes]
    batch: bool  # as one, to the compiled intake
    dies: str  # "": not; "taken": nothing was written; "written": nobody was told
    snapshot: bool  # one is taken before


def one(chance: random.Random, definitions: list[Command]) -> bytes:
    dice = chance.random()
    if dice < 0.62:
        market, far = chance.random() < 0.1, chance.random() < 0.1
        tif = chance.choice([TimeInForce.IOC, TimeInForce.FOK] if market else [*[TimeInForce.GTC] * 4, *TimeInForce])
        return new(
            f"id{chance.randrange(150)}" if chance.random() < 0.95 else "",
            chance.choice([Side.BUY, Side.SELL]), price=0 if market else chance.choice([1, 1 << 40]) if far else chance.randrange(95, 106),
            quantity=chance.choice([0, 1, 2, 3, 9, 1 << 53]), account=chance.choice([1, 1, 2, 3]), symbol=chance.choice([1, 1, 2, 3]),
            type=OrderType.MARKET if market else OrderType.LIMIT, tif=tif,
            flags=POST_ONLY if chance.random() < 0.1 else 0,
        )  # fmt: skip
    if dice < 0.74:
        return cancel(chance.randrange(1, 700), chance.choice([0, 1, 2]))
    if dice < 0.90:
        return Command(
            CommandKind.REPLACE, account=chance.choice([1, 2]), target=chance.randrange(1, 700), price=chance.randrange(95, 106),
            quantity=chance.randrange(1, 9), text=b"r%d" % chance.randrange(40),
        ).pack()  # fmt: skip
    if dice < 0.93:
        return Command(CommandKind.MASS_CANCEL, account=chance.choice([0, 1]), symbol=chance.choice([0, 2])).pack()
    if dice < 0.97:
        return Command(chance.choice([CommandKind.HALT, *[CommandKind.RESUME] * 3]), text=b"why").pack()
    if dice < 0.99:
        state = chance.choice([InstrumentState.OPEN, InstrumentState.HALTED])
        return chance.choice(definitions)._replace(tif=state).pack()
    return Command(CommandKind.DEFINE_ACCOUNT, account=3, text=b"late").pack()


def turns(seed: int, count: int, settings: EngineSettings) -> list[Turn]:
    chance = random.Random(seed)
    defining = missing(Tables(), settings.instruments, settings.accounts)
    definitions = [made for made in map(Command.unpack, defining) if made.kind == CommandKind.DEFINE_INSTRUMENT]
    made = []
    for _ in range(count):
        commands = [one(chance, definitions) for _ in range(chance.choice([1, 3, 8, 20]))]
        batch = chance.random() < 0.5
        if batch:
            commands = [command for command in commands if command[0] in IN_BATCHES]
        dies = chance.choice(["", "", "", "taken", "written"])
        made.append(Turn(commands, batch, dies, chance.random() < 0.2))
    return made


class Told:
    """Replies in the order of commands; None: lost, or not there yet."""

    def __init__(self, count: int) -> None:
        self.replies: list[tuple[int, bytes] | None] = [None] * count

    def reply(self, token: int, outcome: int, events: bytes) -> None:
        assert self.replies[token] is None, "told twice"
        self.replies[token] = outcome, events

    def replies_of_batch(self, payload: bytes) -> None:
        at = 0
        for place in range(len(self.replies)):
            _, outcome, events, _ = REPLY.unpack_from(payload, at)
            at += REPLY.size + events * 128
            self.reply(place, outcome, payload[at - events * 128 : at])

    def lost(self, _token: int) -> None:
        pass


class Batch:
    def __init__(self, told: Told) -> None:
        self._told = told

    def replies(self, _token: int, _count: int, payload: bytes) -> None:
        self._told.replies_of_batch(payload)

    def lost(self, _token: int) -> None:
        pass


def send(partition: Partition, turn: Turn) -> Told:
    told = Told(len(turn.commands))
    if turn.batch and turn.commands:
        packed.submit(partition.intake, b"".join(turn.commands), Batch(told), 0)
    elif not turn.batch:
        for token, command in enumerate(turn.commands):
            partition.submit(command, told, token)
    return told


async def settled(partition: Partition) -> None:
    while partition.unacknowledged and not partition.failed:
        await asyncio.sleep(0)


def opened(settings: EngineSettings) -> Partition:
    partition = open_partition(settings, lambda why: None)
    partition.sequencer.clock = lambda: 1
    return partition


def killed(partition: Partition) -> None:
    """What the process leaves of it: files."""
    partition.fail("killed")
    partition.journal.close()
    partition.log.close()


class Seen(NamedTuple):
    replies: list[Any]
    events: bytes
    stands: list[int]  # state hash, and what the engine makes of every command's id


async def stands(partition: Partition, stream: list[Turn]) -> Seen:
    partition.engine.check_invariants()
    found = [partition.engine.state_hash(), partition.engine.client_ids]
    found += [partition.engine.find(command) for turn in stream for command in turn.commands]
    return Seen([], partition.log.peek(0, partition.log.end), found)


async def run(settings: EngineSettings, stream: list[Turn], how: str) -> Seen:
    """`how`: "never" dies, or dies and starts from "snapshots" or by "replay"."""
    partition = opened(settings)
    for command in missing(
        partition.tables, settings.instruments, settings.accounts
    ):  # once: a start would open instruments
        await submit(partition, command)
    replies: list[Any] = []
    for number, turn in enumerate(stream, start=2):
        partition.sequencer.clock = lambda now=number: now
        if turn.snapshot and how == "snapshots":
            snapshot.take(settings, partition.durable_sequence)
        if turn.dies == "taken" and how != "never":
            send(partition, turn)
            killed(partition)
            partition = opened(settings)
        elif turn.dies == "written":
            if how == "never":
                send(partition, turn)
                await settled(partition)
            else:
                partition._commits._on_durable = _dies
                send(partition, turn)
                for _ in range(5):
                    await asyncio.sleep(0)
                killed(partition)
                partition = opened(settings)
        partition.sequencer.clock = lambda now=number: now
        told = send(partition, turn)
        await settled(partition)
        replies.append(told.replies)
    seen = await stands(partition, stream)
    killed(partition)
    return seen._replace(replies=replies)


def _dies(*_: object) -> None:
    raise InterruptedError("killed when it was written, before anybody was told")


async def from_anew(settings: EngineSettings, stream: list[Turn]) -> Seen:
    partition = opened(settings)
    seen = await stands(partition, stream)
    killed(partition)
    return seen


def compare(seed: int, count: int = TURNS) -> str:
    """What differs; empty when nothing does."""
    found: dict[str, Seen] = {}
    limits = random.Random(seed)
    live, ids = limits.choice([5, 16, 64]), limits.choice([7, 30, 100])
    for how in ("never", "snapshots", "replay"):
        with tempfile.TemporaryDirectory(prefix="restarts-", dir=MEMORY if MEMORY.is_dir() else None) as name:
            folder = Path(name)
            settings = fuzzed(folder, max_live_orders=live, client_ids_max=ids, segment_bytes=4096 + 50 * 144)
            stream = turns(seed, count, settings)
            with lock_data(folder):
                found[how] = asyncio.run(run(settings, stream, how))
                found[f"{how}, started once more"] = asyncio.run(from_anew(settings, stream))
                shutil.rmtree(folder / "snapshots", ignore_errors=True)
                found[f"{how}, replayed in full"] = asyncio.run(from_anew(settings, stream))
    never = found["never"]
    for how, seen in found.items():
        for place, (one_, other) in enumerate(zip(never.replies, seen.replies, strict=False)):
            if one_ != other:
                return f"{how}: turn {place} was answered {other}, and {one_} by the one that never died"
        for name in ("events", "stands"):
            if getattr(seen, name) != getattr(never, name):
                return f"{how}: {name} differ"
    return ""


if __name__ == "__main__":
    sys.exit(try_seeds(__doc__, compare, "streams: nobody can tell that the engine died"))
