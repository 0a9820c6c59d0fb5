"""Streams for the frames of sessions, good and bad, cut anywhere: the compiled reading held against the plain one.

    python -m tests.stack.matcher.fuzz_session [--seconds N] [--seed N]

Every seed is a few sessions, one after the other; both readings get the same pieces over partitions of their own, and what each
hands on, answers and writes to its event log must be the same. Exit code 10, with the seed, when it is not.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from engine.records import Command, CommandKind, Side, TimeInForce
from stack.matcher import session_python
from stack.matcher.definitions import missing
from stack.matcher.partition import Partition
from stack.matcher.session_commands import Rights, checked
from stack.matcher.start import lock_data, open_partition
from stack.settings import EngineSettings, InstrumentSettings
from stack.wire.frames import HEADER, FrameError, FrameType, frame
from tests.stack.matcher.engines import cancel, new, submit
from tests.stack.matcher.seeds import try_seeds

SESSIONS = 8


class Owner:
    """Writes down what its frames do."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def frame(self, type_: int, request: int, payload: bytes) -> None:
        self.seen.append(("frame", type_, request, payload))

    def write(self, data: bytes) -> None:
        self.seen.append(("write", data))

    def unknown(self) -> None:
        self.seen.append("unknown")


def command(chance: random.Random) -> bytes:
    """A likely one, sometimes with a byte changed."""
    dice = chance.random()
    if dice < 0.6:
        made = new(
            f"id{chance.randrange(200)}"[: chance.choice([2, 40])], chance.choice([Side.BUY, Side.SELL]),
            price=10_000 + chance.randrange(-5, 6), quantity=chance.randrange(6), account=chance.choice([0, 1, 2, 3]),
            symbol=chance.choice([1, 1, 2, 9]), tif=chance.choice(list(TimeInForce)),
        )  # fmt: skip
    elif dice < 0.75:
        made = cancel(chance.randrange(4, 300), chance.choice([0, 1, 2]))
    elif dice < 0.9:
        made = Command(
            CommandKind.REPLACE, account=chance.choice([0, 1, 2]), target=chance.randrange(4, 300), price=10_000,
            quantity=chance.randrange(1, 9), text=b"r%d" % chance.randrange(40),
        ).pack()  # fmt: skip
    else:
        made = Command(chance.choice(list(CommandKind)), account=chance.choice([0, 1, 2])).pack()
    if chance.random() < 0.15:
        place = chance.randrange(len(made))
        made = made[:place] + bytes([chance.choice([0, 1, 32, 255])]) + made[place + 1 :]
    token = chance.choice([0, chance.getrandbits(32)])
    return made[:92] + token.to_bytes(4, "little")


def again(chance: random.Random, sent: list[bytes]) -> bytes:
    """Sometimes a command that was sent before."""
    return chance.choice(sent) if sent and chance.random() < 0.15 else b""


def stream(chance: random.Random) -> bytes:
    made, sent = b"", list[bytes]()
    for request in range(1, 40):
        dice = chance.random()
        if dice < 0.9:
            count = chance.choice([1, 1, 2, 7, 30])
            sent += (commands := [again(chance, sent) or command(chance) for _ in range(count)])
            made += frame(FrameType.SUBMIT, b"".join(commands), records=count, request=request)
        elif dice < 0.98:
            made += frame(FrameType.QUERY, chance.randbytes(chance.randrange(60)), request=request)
        else:
            made += chance.choice(
                [
                    frame(FrameType.SUBMIT, bytes(95), records=1),
                    frame(FrameType.SUBMIT, bytes(96), records=2),
                    frame(FrameType.SUBMIT, b""),
                    HEADER.pack(1 << 31, FrameType.SUBMIT, 1, 1, 1),
                    HEADER.pack(0, 3, 2, 0, 0),
                    chance.randbytes(40),
                ]
            )
    return made


def pieces(chance: random.Random, data: bytes) -> list[bytes]:
    cut = []
    while data:
        length = chance.choice([1, 5, 12, 13, 100, 500, 5000])
        cut.append(data[:length])
        data = data[length:]
    return cut


class Arrived(NamedTuple):
    pieces: list[bytes]
    held: list[bool]  # whether the owner holds the frames while the piece comes
    rights: Rights

    @classmethod
    def make(cls, chance: random.Random) -> Arrived:
        rights = Rights(*chance.choice([(0, True), (1, False), (1, True), (2, False)]))
        cut = pieces(chance, stream(chance))
        return cls(cut, [chance.random() < 0.1 for _ in cut], rights)


def fuzzed(folder: Path, **changes: Any) -> EngineSettings:
    settings = EngineSettings(
        deployment="fuzz", component="engine-0", log_file=str(folder / "log"), metrics_dir=str(folder / "metrics"),
        metrics_enabled=False, partition=0, data_dir=str(folder), link_socket="", admin_socket="", accounts=["a", "b"],
        instruments=[InstrumentSettings(symbol=name, tick_size="0.01", lot_size="1", currency="USD") for name in "AB"],
        authentication="none", max_live_orders=64, client_ids_max=64, segment_bytes=1 << 16, max_unacknowledged=25,
        hft_mode=False, latency_sample_rate=0,
    )  # fmt: skip
    return replace(settings, **changes)


async def read(frames: Callable[..., Any], sessions: list[Arrived], folder: Path) -> tuple[list[Any], bytes]:
    """What was seen, and the event log."""
    settings = fuzzed(folder)
    with lock_data(folder):
        partition = open_partition(settings, lambda why: None)
        partition.sequencer.clock = lambda: 1
        for definition in missing(partition.tables, settings.instruments, settings.accounts):
            await submit(partition, definition)
        seen: list[Any] = []
        for session in sessions:
            seen += await one_session(frames, session, partition)
        await partition.close()
        events = b"".join(path.read_bytes() for path in sorted((folder / "events").glob("*.events")))
        partition.log.close()
        return seen, events.rstrip(b"\0")


async def one_session(frames: Callable[..., Any], session: Arrived, partition: Partition) -> list[Any]:
    owner = Owner()
    reading = frames(owner, partition)
    reading.admit(*session.rights)
    try:
        for piece, hold in zip([*session.pieces, b""], [*session.held, False], strict=True):
            reading.held = hold
            reading.feed(piece)
            while partition.unacknowledged:
                await asyncio.sleep(0)
            owner.seen.append((reading.open, reading.waiting, reading.full))
    except FrameError as error:
        owner.seen.append(str(error))
    while partition.unacknowledged:
        await asyncio.sleep(0)
    return owner.seen


def compare(seed: int) -> str:
    """What differs; empty when nothing does."""
    from stack.matcher.session_frames import Frames as Compiled
    from stack.matcher.session_frames import checked as compiled_check

    chance = random.Random(seed)
    sessions = [Arrived.make(chance) for _ in range(SESSIONS)]
    for _ in range(500):
        made, rights = command(chance), chance.choice(sessions).rights
        if (one := checked(made, rights)) != (other := compiled_check(made, *rights)):
            return f"{made.hex()} with {rights}: {one!r} in Python, {other!r} compiled"
    found = []
    for frames in (session_python.Frames, Compiled):
        with tempfile.TemporaryDirectory(prefix="hftctl-fuzz-") as folder:
            found.append(asyncio.run(read(frames, sessions, Path(folder))))
    (plain, plain_events), (compiled, compiled_events) = found
    for place, (one, other) in enumerate(zip(plain, compiled, strict=False)):
        if one != other:
            return f"at {place}: {one!r} in Python, {other!r} compiled"
    if len(plain) != len(compiled):
        return f"{len(plain)} steps in Python, {len(compiled)} compiled"
    return "" if plain_events == compiled_events else "the event logs differ"


if __name__ == "__main__":
    sys.exit(try_seeds(__doc__, compare, f"rounds of {SESSIONS} sessions were read the same by both"))
