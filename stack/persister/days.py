"""Tables of days: made ahead of midnight, and given their indexes once the day is over.

An index is built CONCURRENTLY, so that nobody who writes waits for it: a persister may lag, and then still writes into a day
that is over. A build that was broken off leaves an invalid index; the next round drops it and begins anew.
"""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta

import asyncpg

from stack.persister.database import connect
from stack.settings import Postgres

logger = logging.getLogger(__name__)

SETTLE = timedelta(minutes=5)  # a day counts as over so long after its end: its last events are written by then
INDEX_LOCK_KEY = 0x68_66_74_69_64_78
BUILD_S_MAX = 3600
_STATEMENT = "CREATE INDEX CONCURRENTLY {name} ON {table} ({columns}){condition}"
# The last one is the mark that all are there, see days_to_index in the schema.
INDEXES = (
    ("orders", "partition, order_sequence", ""),
    ("accounts", "partition, account, sequence", " WHERE kind = 1"),
    ("client_ids", "partition, account, hashtext(text)", " WHERE kind = 1"),
    ("trades", "partition, symbol, trade", " WHERE kind = 2"),
)
_VALID = """SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass($1)"""


async def index_closed_days(postgres: Postgres, name: str) -> list[date]:
    """Give the days that are over the indexes history is read by; one persister at a time, on a connection of its own."""
    connection = await connect(postgres, name)
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", INDEX_LOCK_KEY):
            return []
        before = (datetime.now(UTC) - SETTLE).date()
        days = [row[0] for row in await connection.fetch("SELECT days_to_index($1)", before)]
        for day in days:
            for what, columns, condition in INDEXES:
                await _build(connection, f"events_{day:%Y%m%d}", what, columns, condition)
            logger.info("indexed the day %s", day)
        return days
    finally:
        connection.terminate()


async def _build(connection: asyncpg.Connection, table: str, what: str, columns: str, condition: str) -> None:
    name = f"{table}_{what}"
    valid = await connection.fetchval(_VALID, name)
    if valid:
        return
    if valid is not None:
        await connection.execute(f"DROP INDEX CONCURRENTLY {name}", timeout=BUILD_S_MAX)
    statement = _STATEMENT.format(name=name, table=table, columns=columns, condition=condition)
    await connection.execute(statement, timeout=BUILD_S_MAX)
