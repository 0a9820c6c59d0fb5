"""How far a partition's rows in PostgreSQL go, and whether they would survive its crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hftctl.errors import NotFound

STATEMENT_TIMEOUT_MS = 5000


@dataclass(frozen=True)
class Written:
    sequence: int  # of the last command whose events are all there
    rows: int  # events, from the partition's first command on
    flushed: bool  # on disk; only asked for where the sequence is far enough


def written(connection: Mapping[str, Any], partition: int, *, at_least: int) -> Written:
    """Raises NotFound when PostgreSQL does not answer, or has nothing of this partition.

    The persister commits without waiting for the disk. Once the rows reach the command `at_least`, a commit of our own
    that does wait takes all of the log before it along, and what the server says it has flushed is compared.
    """
    import psycopg  # only who asks PostgreSQL pays for it

    arguments: dict[str, Any] = {"connect_timeout": 3, **connection, "autocommit": True}
    try:
        with psycopg.connect(**arguments) as database:
            database.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
            row = database.execute(
                "SELECT sequence, ordinal, pg_current_wal_insert_lsn()::text FROM checkpoint WHERE partition = %s",
                (partition,),
            ).fetchone()
            if row is None:
                raise NotFound(f"PostgreSQL has no row of partition {partition} yet")
            sequence, rows, position = row
            if sequence < at_least:
                return Written(sequence, rows, flushed=False)
            database.execute("SET synchronous_commit = on")
            database.execute("SELECT pg_logical_emit_message(true, 'hftctl', 'flush')")
            flushed = database.execute(
                "SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn AND current_setting('fsync')::boolean", (position,)
            ).fetchone()
            return Written(sequence, rows, flushed=bool(flushed and flushed[0]))
    except psycopg.Error as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise NotFound(f"PostgreSQL does not say how far partition {partition} is written: {said[-1]}") from error
