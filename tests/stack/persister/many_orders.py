"""An account with a handful of orders among millions of one day: how long PostgreSQL takes to list them.

    python -m tests.stack.persister.many_orders [--orders N] [--report FILE]

Fills a PostgreSQL of its own through the persister's own encoders and transaction, then asks as a gateway does.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from engine.records import EVENT_BYTES, Event, EventKind
from stack.gateway.history import STATEMENT_MS_MAX, History
from stack.persister.database import Batch, Checkpoint, Database
from stack.schema.__main__ import connect
from stack.schema.migrations import load, migrate
from stack.settings import Postgres
from tests.stack.servers import PostgresServer

BATCH = 25_000
BUSY = ("a", "b", "c", "d")
RARE = len(BUSY) + 1


def fill(database: Postgres, orders: int, rare: int) -> list[int]:
    """One event an order, all of today; returns the sequences of the rare account's, spread over all of them."""
    step = orders // rare
    found = [sequence for sequence in range(1, orders + 1) if sequence % step == step // 2]

    async def write() -> None:
        target = Database(database, 0, "test")
        last = await target.open()
        now_ns = time.time_ns()
        for begin in range(1, orders + 1, BATCH):
            sequences = range(begin, min(begin + BATCH, orders + 1))
            events = b"".join(
                _accepted(n, RARE if n % step == step // 2 else 1 + n % len(BUSY), now_ns) for n in sequences
            )
            pieces = [events[at : at + 8192 * EVENT_BYTES] for at in range(0, len(events), 8192 * EVENT_BYTES)]
            following = Checkpoint(sequences[-1], last.ordinal + len(sequences))
            await target.write(Batch(last, following, pieces))
            last = following
        target.close()

    with connect(database) as connection:
        for number, name in enumerate((*BUSY, "rare"), start=1):
            connection.execute("INSERT INTO accounts VALUES (0, %s, %s)", (number, name))
    asyncio.run(write())
    return found


def _accepted(sequence: int, account: int, time_ns: int) -> bytes:
    return Event(
        sequence,
        sequence,
        time_ns,
        0,
        100,
        1,
        1,
        0,
        account,
        1,
        0,
        EventKind.ACCEPTED,
        1,
        1,
        1,
        0,
        0,
        b"o-%d" % sequence,
    ).pack()


def longest_s(database: Postgres) -> float:
    """Of the questions that a gateway asks about accounts. Raises ApiError where one is given up."""

    async def ask() -> float:
        history, longest = History(database), 0.0
        try:
            for account in ("rare", BUSY[0], "rare"):
                for question in (
                    lambda account=account: history.by_account(0, account, 0, 0, 101),
                    lambda account=account: history.by_account(0, account, 0, 1, 101),
                    lambda account=account: history.by_client_id(0, "rare", "no-such-order"),
                ):
                    began = time.monotonic()
                    await question()
                    longest = max(longest, time.monotonic() - began)
            return longest
        finally:
            await history.close()

    return asyncio.run(ask())


def measured(database: Postgres, orders: int) -> tuple[bool, list[str]]:
    began = time.monotonic()
    rare = fill(database, orders, 30)
    filled_s, asked_s = time.monotonic() - began, longest_s(database)
    with connect(database) as connection:
        found = [row[0] for row in connection.execute("SELECT orders_of(0, 'rare', 0, 0, 1000)")]
        (size,) = connection.execute("SELECT pg_total_relation_size('orders_of_accounts')").fetchone() or (0,)
    return found == rare, [
        f"- {orders} orders of one day, {len(rare)} of them the rare account's, written in {filled_s:.0f} s",
        f"- longest question of a gateway: {1e3 * asked_s:.1f} ms; PostgreSQL gives one up after {STATEMENT_MS_MAX} ms",
        f"- the lists take {size / orders:.1f} bytes an order",
        f"- the rare account's list is {'exact' if found == rare else f'WRONG: {found[:50]}'}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stack.persister.many_orders")
    parser.add_argument("--orders", type=int, default=5_000_000)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="m") as folder:
        server = PostgresServer(Path(folder))
        try:
            database = server.settings("postgres")
            with connect(database) as connection:
                migrate(connection, load())
            exact, lines = measured(database, options.orders)
        finally:
            server.stop()
    text = "\n".join(["# An account with few orders among many", "", *lines, ""])
    if options.report:
        options.report.write_text(text)
    print(text)
    return 0 if exact else 10


if __name__ == "__main__":
    sys.exit(main())
