"""Orders that only PostgreSQL knows, written as the persister writes them: their sequences are far above the engine's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from engine.records import MAKER, EventKind, OrderType, Reason, Side, TimeInForce
from stack.settings import Postgres

DAY_NS = 1_790_000_000 * 10**9  # a day of its own, before any test runs
FIRST = 10**9
SYMBOL, ALICE = 1, 1  # AAPL, in cents and shares
COLUMNS = (
    "sequence, order_sequence, time_ns, price, quantity, leaves, trade, partition, event_index, account, symbol, kind, "
    "side, type, tif, flags, reason, text"
)


def _connected(database: Postgres) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=database.host, port=database.port, dbname=database.database, user=database.user,
        password=Path(database.password_file).read_text(),
    )  # fmt: skip


@contextmanager
def held_open(database: Postgres, order: dict[str, Any]) -> Iterator[None]:
    """PostgreSQL has the acceptance of alice's order in AAPL, and nothing that came after."""
    sequence, day = order["sequence"], order["created_ns"] // (86_400 * 10**9)
    row = (
        sequence, sequence, order["created_ns"], 19025, 10, 10, 0, 0, 0, ALICE, SYMBOL, EventKind.ACCEPTED, Side.BUY,
        OrderType.LIMIT, TimeInForce.GTC, 0, 0, order["client_order_id"],
    )  # fmt: skip
    with _connected(database) as connection:
        connection.execute("SELECT create_day(date '1970-01-01' + %s)", (day,))
        connection.execute(f"INSERT INTO events ({COLUMNS}) VALUES ({', '.join(['%s'] * len(row))})", row)
    try:
        yield
    finally:
        with _connected(database) as connection:
            connection.execute("DELETE FROM events WHERE sequence = %s", (sequence,))


@contextmanager
def locked(database: Postgres) -> Iterator[None]:
    """No question about events gets anywhere; PostgreSQL works."""
    with _connected(database) as connection:
        connection.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


def write(database: Postgres, orders: int) -> None:
    """`orders` orders of alice, one a second: every second one filled in two parts, the others cancelled."""
    with _connected(database) as connection:
        connection.execute("INSERT INTO instruments VALUES (0, 1, 'AAPL', 0.01, 1, 'USD', 'open')")
        connection.execute("INSERT INTO accounts VALUES (0, 1, 'alice')")
        connection.execute("INSERT INTO checkpoint VALUES (0, %s, %s, %s)", (FIRST + 10 * orders, 0, DAY_NS))
        connection.execute(
            "SELECT create_day(day) FROM (VALUES (date '1970-01-01' + 20717), (date '1970-01-01' + 20718)) d(day)"
        )
        with connection.cursor().copy(f"COPY events ({COLUMNS}) FROM STDIN") as copy:
            for row in (row for number in range(orders) for row in _events(number)):
                copy.write_row(row)


def _events(number: int) -> list[tuple[Any, ...]]:
    sequence = FIRST + 10 * number

    def event(step: int, kind: int, quantity: int, leaves: int, *, price: int = 19000, trade: int = 0, flags: int = 0,
              reason: int = 0, text: str = "") -> tuple[Any, ...]:  # fmt: skip
        return (
            sequence + step, sequence, DAY_NS + number * 10**9 + step, price, quantity, leaves, trade, 0, 0, ALICE, SYMBOL,
            kind, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, flags, reason, text,
        )  # fmt: skip

    accepted = event(0, EventKind.ACCEPTED, 10, 10, text=f"past-{number}")
    if number % 2:
        return [accepted, event(1, EventKind.CANCELLED, 10, 0, reason=Reason.BY_CLIENT)]
    trade = 10**6 + 2 * number
    return [
        accepted,
        event(1, EventKind.FILL, 4, 6, trade=trade, flags=MAKER),
        event(2, EventKind.FILL, 6, 0, price=18999, trade=trade + 1),
    ]
