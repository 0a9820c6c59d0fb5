"""Numbered SQL files, each applied once, in order, in a transaction of its own.

Expand only: a file adds tables, columns with defaults, views, functions and indexes, so that the release before it keeps
working on the new schema and a rollback needs no way back. What an older release still reads is removed by a later
release's file, which says so in a line of its own: `-- needs V0006` when code that ends before V0006 cannot live with it. The database
keeps that, so code that never saw the file knows whether it may work there. An applied file is never edited: its checksum is
recorded and compared.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import psycopg

FOLDER = Path(__file__).parent
LOCK_KEY = 0x68_66_74_63_74_6C  # "hftctl": one runner at a time in one database
LOCK_TIMEOUT_MS = 60_000
_NAME = re.compile(r"V([0-9]{4})__([a-z0-9_]+)\.sql")
NEEDS = re.compile(r"^-- needs V([0-9]{4})$", re.MULTILINE)

TABLE = """
CREATE TABLE IF NOT EXISTS schema_versions (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE schema_versions ADD COLUMN IF NOT EXISTS needs integer NOT NULL DEFAULT 0
"""
# A database of an earlier release has no such column yet.
_APPLIED = """
SELECT version, name, checksum, coalesce((to_jsonb(schema_versions) ->> 'needs')::integer, 0)
FROM schema_versions ORDER BY version
"""


class SchemaError(Exception):
    """The files and the database do not fit together; nothing was changed."""


class Migration(NamedTuple):
    version: int
    name: str
    checksum: str
    sql: str

    @property
    def needs(self) -> int:
        """Code whose files end before this number cannot live with it; 0: all can."""
        return max((int(number) for number in NEEDS.findall(self.sql)), default=0)


class Status(NamedTuple):
    applied: list[tuple[int, str]]  # version, name
    pending: list[Migration]

    @property
    def version(self) -> int:
        return self.applied[-1][0] if self.applied else 0


def load(folder: Path = FOLDER) -> list[Migration]:
    """All files by ascending number; raises SchemaError for a gap, a repeat or a name of another form."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise SchemaError(f"{path.name}: a migration is called V0001__what_it_adds.sql")
        data = path.read_bytes()
        found.append(Migration(int(name[1]), path.stem, hashlib.sha256(data).hexdigest(), data.decode()))
    for expected, migration in enumerate(found, 1):
        if migration.version != expected:
            raise SchemaError(f"{migration.name}: expected number {expected:04d}; numbers have no gaps and no repeats")
    return found


def compare(connection: psycopg.Connection, migrations: list[Migration]) -> Status:
    """What is applied, by whichever release, and what is not yet.

    Raises SchemaError when an applied file was edited, or a newer one took away what this code reads.
    """
    if connection.execute("SELECT to_regclass('schema_versions')").fetchone() == (None,):
        return Status([], migrations)
    rows = connection.execute(_APPLIED).fetchall()
    for version, name, checksum, needs in rows:
        if needs > len(migrations):
            raise SchemaError(
                f"the database has {name}, which took away what releases before V{needs:04d} read, and this one ends at "
                f"V{len(migrations):04d}: run a newer release"
            )
        if version > len(migrations):
            continue  # of a newer release; it only added
        if migrations[version - 1].checksum != checksum:
            raise SchemaError(
                f"{name} was applied with checksum {checksum[:12]}, the file now has "
                f"{migrations[version - 1].checksum[:12]}: restore the file and put the change into a new one"
            )
    applied = [(version, name) for version, name, *_ in rows]
    return Status(applied, migrations[len(applied) :])


def migrate(connection: psycopg.Connection, migrations: list[Migration]) -> Status:
    """Apply what is missing. `connection` is in autocommit; returns what was applied as `pending` of before."""
    connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
    except psycopg.errors.LockNotAvailable:
        raise SchemaError(
            f"another migration has held the lock for {LOCK_TIMEOUT_MS // 1000} s; see pg_stat_activity for who"
        ) from None
    try:
        before = compare(connection, migrations)
        with connection.transaction():
            connection.execute("SET LOCAL client_min_messages = warning")
            connection.execute(TABLE)
        for migration in before.pending:
            with connection.transaction():
                try:
                    connection.execute(migration.sql.encode())
                except psycopg.Error as error:
                    raise SchemaError(f"{migration.name} failed and changed nothing: {error}") from error
                connection.execute(
                    "INSERT INTO schema_versions (version, name, checksum, needs) VALUES (%s, %s, %s, %s)",
                    (migration.version, migration.name, migration.checksum, migration.needs),
                )
        return before
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK_KEY,))
