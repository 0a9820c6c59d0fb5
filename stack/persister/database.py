"""The PostgreSQL side: rows and checkpoint move together, or not at all.

`write` takes the events between two checkpoints. Its one transaction moves the checkpoint from the first to the last and
copies the rows; when no checkpoint stands where the first one says, somebody else has written, and this persister stops.
So every event stands exactly once whatever dies when, and `synchronous_commit = off` is safe: what a crash of PostgreSQL
takes back, it takes back with its checkpoint, and the engine is asked for it again.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import asyncpg

from engine.records import EVENT_BYTES, Event, EventKind, InstrumentState
from stack.persister.rows import COLUMNS, encode
from stack.settings import Postgres

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 60.0
SETTLE = timedelta(minutes=5)  # a day counts as over so long after its end: its last events are written by then
INDEX_LOCK_KEY = 0x68_66_74_69_64_78
_KIND_OFFSET = 76
_TIME_OFFSET = 16
_DAY_NS = 86_400_000_000_000
_EPOCH = date(1970, 1, 1)
_DEFINITIONS = bytes((EventKind.INSTRUMENT_DEFINED, EventKind.ACCOUNT_DEFINED))

# What may pass by itself: PostgreSQL away, restarting, full, not migrated yet. asyncpg reports a server that died between two
# statements as an error of its own state, too.
RETRIED = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Conflict(Exception):
    """Another persister writes this partition."""


class Damage(Exception):
    """What stands in PostgreSQL and what the engine tells do not belong together."""


class Checkpoint(NamedTuple):
    sequence: int  # of the last command that is written
    ordinal: int  # of the next event


class Batch(NamedTuple):
    first: Checkpoint
    last: Checkpoint
    events: bytes


async def connect(postgres: Postgres, name: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        host=postgres.host,
        port=postgres.port,
        database=postgres.database,
        user=postgres.user,
        password=Path(postgres.password_file).read_text().strip(),  # noqa: ASYNC240  a small local file, once
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings={"application_name": name, "synchronous_commit": "off", "jit": "off"},
    )


class Database:
    """One connection. After any failure: `close`, then `open` again and look where the checkpoint stands."""

    def __init__(self, postgres: Postgres, partition: int, name: str) -> None:
        self._postgres = postgres
        self._partition = partition
        self._name = name
        self._connection: asyncpg.Connection | None = None
        self._days: set[date] = set()

    async def open(self) -> Checkpoint:
        connection = self._connection = await connect(self._postgres, self._name)
        await connection.execute(
            "INSERT INTO checkpoint (partition, sequence, ordinal, time_ns) VALUES ($1, 0, 0, 0) ON CONFLICT DO NOTHING",
            self._partition,
        )
        row = await connection.fetchrow(
            "SELECT sequence, ordinal FROM checkpoint WHERE partition = $1", self._partition
        )
        self._days.clear()
        await self._make_days({datetime.now(UTC).date()})
        return Checkpoint(*row)

    def close(self) -> None:
        """At once and without a word to the server: what was not committed is taken back."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def write(self, batch: Batch) -> None:
        connection, events = self._connection, batch.events
        assert connection is not None  # noqa: S101  the caller opened it
        await self._make_days(days_of(events))
        rows = encode(self._partition, events)
        async with connection.transaction():
            moved = await connection.execute(
                "UPDATE checkpoint SET sequence = $1, ordinal = $2, time_ns = $3, updated_at = clock_timestamp() "
                "WHERE partition = $4 AND sequence = $5 AND ordinal = $6",
                *batch.last,
                Event.unpack(events, len(events) - EVENT_BYTES).time_ns,
                self._partition,
                *batch.first,
            )
            if moved != "UPDATE 1":
                stands = await connection.fetchrow(
                    "SELECT sequence, ordinal FROM checkpoint WHERE partition = $1", self._partition
                )
                raise Conflict(
                    f"partition {self._partition}: expected the checkpoint at sequence {batch.first.sequence}, it stands at "
                    f"{stands['sequence'] if stands else 'nothing'}: another persister writes this partition"
                )
            for event in definitions(events):
                await self._define(connection, event)
            try:
                await connection.copy_to_table("events", source=_once(rows), columns=COLUMNS, format="binary")
            except asyncpg.UniqueViolationError as error:
                raise Damage(
                    f"partition {self._partition}: rows above sequence {batch.first.sequence}, where the checkpoint stands, "
                    f"are there already: {error.detail}"
                ) from error

    async def _make_days(self, days: set[date]) -> None:
        """Tables for these days, and for the day after each, so that midnight finds its table."""
        assert self._connection is not None  # noqa: S101
        for day in sorted((days | {day + timedelta(days=1) for day in days}) - self._days):
            if await self._connection.fetchval("SELECT create_day($1)", day):
                logger.info("made the table of %s", day)
            self._days.add(day)

    async def _define(self, connection: asyncpg.Connection, event: Event) -> None:
        if event.kind == EventKind.ACCOUNT_DEFINED:
            await connection.execute(
                "INSERT INTO accounts (partition, id, account) VALUES ($1, $2, $3) "
                "ON CONFLICT (partition, id) DO UPDATE SET account = excluded.account",
                self._partition,
                event.account,
                event.text.decode(),
            )
            return
        await connection.execute(
            "INSERT INTO instruments (partition, id, symbol, tick_size, lot_size, currency, state) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (partition, id) DO UPDATE SET state = excluded.state",
            self._partition,
            event.symbol,
            event.text.decode(),
            Decimal(event.price).scaleb(-event.side),
            Decimal(event.quantity).scaleb(-event.type),
            event.trade.to_bytes(8, "little").rstrip(b"\0").decode(),
            "open" if event.tif == InstrumentState.OPEN else "halted",
        )


async def index_closed_days(postgres: Postgres, name: str) -> list[date]:
    """Give the days that are over the indexes history is read by; one persister at a time, on a connection of its own.

    Building one keeps writers out of that day's table. A persister that lags by more than SETTLE then waits, and loses
    nothing.
    """
    connection = await connect(postgres, name)
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", INDEX_LOCK_KEY):
            return []
        days = [
            row[0] for row in await connection.fetch("SELECT days_to_index($1)", (datetime.now(UTC) - SETTLE).date())
        ]
        for day in days:
            await connection.execute("SELECT index_day($1)", day, timeout=3600)
            logger.info("indexed the day %s", day)
        return days
    finally:
        connection.terminate()


def days_of(events: bytes) -> set[date]:
    """The UTC days of a batch. Time never goes back, so that the ends agreeing means one day."""
    number = [_day(events, offset) for offset in (0, len(events) - EVENT_BYTES)]
    if number[0] != number[1]:
        number = [_day(events, offset) for offset in range(0, len(events), EVENT_BYTES)]
    return {_EPOCH + timedelta(days=day) for day in number}


def definitions(events: bytes) -> list[Event]:
    kinds = events[_KIND_OFFSET::EVENT_BYTES]
    if not any(kind in kinds for kind in _DEFINITIONS):
        return []
    return [Event.unpack(events, n * EVENT_BYTES) for n, kind in enumerate(kinds) if kind in _DEFINITIONS]


def _day(events: bytes, offset: int) -> int:
    return int.from_bytes(events[offset + _TIME_OFFSET : offset + _TIME_OFFSET + 8], "little") // _DAY_NS


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
