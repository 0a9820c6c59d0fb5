"""One persister per partition: whoever holds the partition's advisory lock in PostgreSQL writes, everybody else yields.

The lock ends with the session that holds it, so that nobody ever frees it by hand. It only makes meeting polite; that no row
stands twice is the checkpoint's doing, see database.py.
"""

from __future__ import annotations

import asyncpg

CLASS = 0x68667470  # of our locks; the other half of the key is the partition

_HOLDER = """SELECT a.pid, a.application_name, coalesce(host(a.client_addr), 'a local socket') AS client,
    to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.classid::bigint = $1 AND l.objid::bigint = $2 AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


class Claimed(Exception):
    """Somebody else writes this partition; the message says who."""


async def claim(connection: asyncpg.Connection, partition: int, own_sessions: set[int]) -> None:
    """Take the lock for this session, or raise Claimed.

    A session of our own that PostgreSQL has not given up yet, as after a lost connection, is ended: nobody reads its answers.
    """
    if await connection.fetchval("SELECT pg_try_advisory_lock($1::integer, $2::integer)", CLASS, partition):
        own_sessions.add(connection.get_server_pid())
        return
    holder = await connection.fetchrow(_HOLDER, CLASS, partition)
    if holder is None:
        raise Claimed("a session that has just ended held it")
    if holder["pid"] in own_sessions:
        await connection.execute("SELECT pg_terminate_backend($1)", holder["pid"])
        raise Claimed(f"a session of our own, {holder['pid']}, still held it and was told to end")
    raise Claimed(
        f"{holder['application_name'] or 'a client without a name'} holds it since {holder['since']}, session {holder['pid']} "
        f"of PostgreSQL from {holder['client']}"
    )
