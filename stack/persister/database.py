"""The PostgreSQL side: rows and checkpoint move together, or not at all.

`write` takes the events between two checkpoints. Its one transaction moves the checkpoint from the first to the last and
copies the rows; when no checkpoint stands where the first one says, somebody else has moved it, and this persister stops.
The orders of each account in the batch go with them, so that the lists of accounts need no index. So every event stands
exactly once whatever dies when, and `synchronous_commit = off` is safe: what a crash of PostgreSQL
takes back, it takes back with its checkpoint, and the engine is asked for it again.

A checkpoint that was moved without its rows, by hand or by a restore of half a database, is found when the connection opens:
the newest row must be the checkpoint's. Neither doubles nor holes come of it.
"""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import asyncpg

from engine.records import EVENT_BYTES, Event, EventKind, InstrumentState
from stack.persister.claim import Claimed, claim
from stack.persister.rows import COLUMNS, HEADER, LIST_COLUMNS, TRAILER, encode, encode_lists
from stack.settings import Postgres

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 60.0
_KIND_OFFSET = 76
_TIME_OFFSET = 16
_DAY_NS = 86_400_000_000_000
_EPOCH = date(1970, 1, 1)
_DEFINITIONS = bytes((EventKind.INSTRUMENT_DEFINED, EventKind.ACCOUNT_DEFINED))
_SESSION = {
    "synchronous_commit": "off",
    "jit": "off",
    # A session whose host died holds our claim: PostgreSQL asks after ten seconds of silence, and gives up soon.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
}
_NEWEST = "SELECT sequence FROM events WHERE partition = $1 ORDER BY sequence DESC LIMIT 1"
# For a person to type.
_PUT_BACK = (
    "UPDATE checkpoint SET sequence = {newest}, ordinal = (SELECT count(*) FROM events WHERE partition = {partition}) "
    "WHERE partition = {partition}"
)

# What may pass by itself: PostgreSQL away, restarting, full, not migrated yet, another persister on its way out. asyncpg
# reports a server that died between two statements as an error of its own state, too.
RETRIED = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, Claimed)


class Conflict(Exception):
    """Somebody else writes this partition."""


class Damage(Exception):
    """What stands in PostgreSQL and what the engine tells do not belong together."""


class Checkpoint(NamedTuple):
    sequence: int  # of the last command that is written
    ordinal: int  # of the next event


class Batch(NamedTuple):
    first: Checkpoint
    last: Checkpoint
    pieces: list[bytes]  # whole commands each

    @property
    def count(self) -> int:
        return self.last.ordinal - self.first.ordinal


async def connect(postgres: Postgres, name: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        host=postgres.host,
        port=postgres.port,
        database=postgres.database,
        user=postgres.user,
        password=Path(postgres.password_file).read_text().strip(),  # noqa: ASYNC240  a small local file, once
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings={"application_name": name, **_SESSION},
    )


class Database:
    """One connection. After any failure: `close`, then `open` again and look where the checkpoint stands."""

    def __init__(self, postgres: Postgres, partition: int, name: str) -> None:
        self._postgres = postgres
        self._partition = partition
        self._name = name
        self._connection: asyncpg.Connection | None = None
        self._sessions: set[int] = set()  # of PostgreSQL, that were ours
        self._days: set[date] = set()

    async def open(self) -> Checkpoint:
        """Raises Claimed while another persister writes this partition, and Damage."""
        connection = self._connection = await connect(self._postgres, self._name)
        await claim(connection, self._partition, self._sessions)
        await connection.execute(
            "INSERT INTO checkpoint (partition, sequence, ordinal, time_ns) VALUES ($1, 0, 0, 0) ON CONFLICT DO NOTHING",
            self._partition,
        )
        checkpoint = Checkpoint(
            *await connection.fetchrow("SELECT sequence, ordinal FROM checkpoint WHERE partition = $1", self._partition)
        )
        newest = await connection.fetchval(_NEWEST, self._partition) or 0
        if newest != checkpoint.sequence:
            raise Damage(_moved(self._partition, checkpoint.sequence, newest))
        if (first := await connection.fetchval("SELECT settle_lists($1)", self._partition)) is not None:
            logger.info("partition %d: orders %d to %d are listed from the events", self._partition, first, newest)
        self._days.clear()
        await self._make_days({datetime.now(UTC).date()})
        return checkpoint

    def close(self) -> None:
        """At once and without a word to the server: what was not committed is taken back."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def write(self, batch: Batch) -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101  the caller opened it
        newest = batch.pieces[-1]
        await self._make_days(days_of(batch.pieces))
        async with connection.transaction():
            moved = await connection.execute(
                "UPDATE checkpoint SET sequence = $1, listed = $1, ordinal = $2, time_ns = $3, updated_at = clock_timestamp() "
                "WHERE partition = $4 AND sequence = $5 AND ordinal = $6",
                *batch.last,
                Event.unpack(newest, len(newest) - EVENT_BYTES).time_ns,
                self._partition,
                *batch.first,
            )
            if moved != "UPDATE 1":
                stands = await connection.fetchrow(
                    "SELECT sequence, ordinal FROM checkpoint WHERE partition = $1", self._partition
                )
                raise Conflict(
                    f"partition {self._partition}: expected the checkpoint at sequence {batch.first.sequence}, it stands at "
                    f"{stands['sequence'] if stands else 'nothing'}: somebody else moved it; nothing was written"
                )
            for event in (event for piece in batch.pieces for event in definitions(piece)):
                await self._define(connection, event)
            try:
                await connection.copy_to_table("events", source=self._rows(batch), columns=COLUMNS, format="binary")
            except asyncpg.UniqueViolationError as error:
                raise Damage(
                    f"partition {self._partition}: rows above sequence {batch.first.sequence}, where the checkpoint stands, "
                    f"are there already: {error.detail}"
                ) from error
            if lists := encode_lists(self._partition, batch.pieces):
                source = io.BytesIO(HEADER + lists + TRAILER)
                await connection.copy_to_table(
                    "orders_of_accounts", source=source, columns=LIST_COLUMNS, format="binary"
                )

    async def _rows(self, batch: Batch) -> AsyncIterator[bytes]:
        """Encoded piece by piece while PostgreSQL takes the one before."""
        yield HEADER
        for piece in batch.pieces:
            yield encode(self._partition, piece)
        yield TRAILER

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


def _moved(partition: int, checkpoint: int, newest: int) -> str:
    wrong = "rows are missing below it" if checkpoint > newest else "rows above it would be written again"
    return (
        f"partition {partition}: the checkpoint says sequence {checkpoint}, the newest row is of sequence {newest}: it was moved "
        f"without its rows, and {wrong}. Nothing was written. Put it back where the rows end, in PostgreSQL: "
        + _PUT_BACK.format(newest=newest, partition=partition)
    )


def days_of(pieces: list[bytes]) -> set[date]:
    """The UTC days of a batch. Time never goes back, so that the ends agreeing means one day."""
    ends = [_day(pieces[0], 0), _day(pieces[-1], len(pieces[-1]) - EVENT_BYTES)]
    if ends[0] != ends[1]:
        ends = [_day(piece, offset) for piece in pieces for offset in range(0, len(piece), EVENT_BYTES)]
    return {_EPOCH + timedelta(days=day) for day in ends}


def definitions(events: bytes) -> list[Event]:
    kinds = events[_KIND_OFFSET::EVENT_BYTES]
    if not any(kind in kinds for kind in _DEFINITIONS):
        return []
    return [Event.unpack(events, n * EVENT_BYTES) for n, kind in enumerate(kinds) if kind in _DEFINITIONS]


def _day(events: bytes, offset: int) -> int:
    return int.from_bytes(events[offset + _TIME_OFFSET : offset + _TIME_OFFSET + 8], "little") // _DAY_NS
