"""Orders over the link, as fast as the engine takes them: what a persister has to write after a database was away.

python -m tests.faults.feed SOCKET COUNT
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import sys
from collections.abc import Iterator

import msgspec

from engine.records import Command, CommandKind, OrderType, Side, TimeInForce
from stack.wire.frames import ANSWER_BYTES_MAX, PROTOCOL, FrameReader, FrameType, frame
from stack.wire.tables import Tables

SEED = 1
PER_FRAME = 1000
IN_FLIGHT = 20  # frames
READ_BYTES = 1 << 20
SILENT_S_MAX = 30.0
MIDDLE, AWAY = 20_000, 6  # ticks


def commands(count: int, account: int, symbols: list[int]) -> Iterator[bytes]:
    """Limit orders close around one price: about every second one meets another."""
    chance, run = random.Random(SEED), secrets.token_hex(4)
    for number in range(count):
        yield Command(
            CommandKind.NEW, chance.choice((Side.BUY, Side.SELL)), OrderType.LIMIT, TimeInForce.GTC, 0, account,
            symbols[number % len(symbols)], MIDDLE + chance.randint(-AWAY, AWAY), chance.randint(1, 50),
            text=f"{run}-{number:09d}".encode(),
        ).pack()  # fmt: skip


async def feed(socket: str, count: int) -> None:
    """Returns when all are durable."""
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        frames = FrameReader(ANSWER_BYTES_MAX)
        writer.write(frame(FrameType.HELLO, msgspec.json.encode({"protocol": PROTOCOL, "client": "benchmark"})))
        tables: Tables | None = None
        replied = sent = 0
        stream: Iterator[bytes] = iter(())
        while replied < count:
            data = await asyncio.wait_for(reader.read(READ_BYTES), SILENT_S_MAX)
            if not data:
                raise ConnectionError(f"the engine closed the link after {replied} of {count} orders")
            for type_, records, _, payload in frames.feed(data):
                if type_ == FrameType.WELCOME:
                    tables = Tables.from_json(msgspec.json.decode(payload))
                    symbols = [item.id for item in tables.instruments.values() if not item.symbol.startswith("PROOF.")]
                    stream = commands(count, next(iter(tables.accounts)), symbols)
                elif type_ == FrameType.REPLIES:
                    replied += records
                else:
                    raise ConnectionError(f"the engine answered with frame type {type_}: {payload[:200]!r}")
            while tables is not None and sent < count and sent - replied < IN_FLIGHT * PER_FRAME:
                piece = list(itertools.islice(stream, min(PER_FRAME, count - sent)))
                sent += len(piece)
                writer.write(frame(FrameType.SUBMIT, b"".join(piece), records=len(piece), request=sent // PER_FRAME))
            await writer.drain()
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(feed(sys.argv[1], int(sys.argv[2])))
