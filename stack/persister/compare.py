"""Is PostgreSQL equal to the journal? python -m stack.persister.compare --config engine-0.json --postgres persister-0.json

Replays the journal on a fresh engine and reads the rows of its partition beside it: every event stands exactly once, with
every column, in order, the checkpoint stands at the end, and the lists of accounts name every order once. Rows and events are
compared as bytes of PostgreSQL's binary COPY, piece by piece, so that ten million rows need no memory to speak of. It writes
nothing. A journal that is still written to is compared up to where it ended when it was read; rows beyond that are reported.

Exit codes: 0 equal; 10 different, or the journal is damaged; 13 journal or PostgreSQL cannot be read.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg

import engine
from engine.journal import CHAIN_START
from engine.records import EVENT_BYTES, Event
from stack.matcher.journal_read import Damage, Stretch, read_journal, replay
from stack.persister.rows import COLUMNS, HEADER, TRAILER, encode, row_of, values_of
from stack.schema.__main__ import connect
from stack.settings import EngineSettings, PersisterSettings, Postgres, load

PIECE_BYTES = 1 << 20
SHOWN = 10
POLL_S = 0.05
Reached = tuple[int, int]  # sequence, ordinal


def journal_events(settings: EngineSettings) -> Iterator[bytes]:
    """Every event of the journal, many at a time; raises Damage and OSError."""
    book = engine.create(
        settings.implementation,
        max_live_orders=settings.max_live_orders,
        client_ids_max=settings.client_ids_max,
        faulted_in=False,
    )
    events_hash = CHAIN_START
    held: list[bytes] = []
    size = 0
    for found in read_journal(Path(settings.data_dir) / "journal", settings.partition):
        if isinstance(found, Stretch):
            for group in replay(book, found, events_hash):
                events_hash = group.events_hash
                held.append(group.events)
                size += len(group.events)
                if size >= PIECE_BYTES:
                    yield b"".join(held)
                    held, size = [], 0
    if size:
        yield b"".join(held)


def postgres_rows(connection: psycopg.Connection, partition: int) -> Iterator[bytes]:
    """Each row as COPY gives it."""
    statement = (
        f"COPY (SELECT {', '.join(COLUMNS)} FROM events WHERE partition = {partition:d} "  # noqa: S608  our names
        "ORDER BY sequence, event_index) TO STDOUT (FORMAT binary)"
    )
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for block in copy:
            row = bytes(block).removeprefix(HEADER)
            if row and row != TRAILER:
                yield row


# Per account: how many orders, and two sums over them.
_LISTED = """SELECT account, count(*), sum(sequence), sum(hashint8(sequence))
    FROM (SELECT account, first + unnest(orders) AS sequence FROM orders_of_accounts WHERE partition = %s) listed
    GROUP BY account"""
_ACCEPTED = """SELECT e.account, count(*), sum(e.sequence), sum(hashint8(e.sequence))
    FROM events e JOIN checkpoint c USING (partition)
    WHERE e.partition = %s AND e.kind = 1 AND e.sequence <= c.listed AND NOT EXISTS (
        SELECT FROM unlisted u WHERE u.partition = e.partition AND e.sequence BETWEEN u.first AND u.last)
    GROUP BY e.account"""


def listed_problems(connection: psycopg.Connection, partition: int) -> list[str]:
    """Accounts whose lists do not name each of their orders once."""
    listed, accepted = (
        {account: sums for account, *sums in connection.execute(statement, (partition,))}
        for statement in (_LISTED, _ACCEPTED)
    )
    differing = sorted(account for account in listed | accepted if listed.get(account) != accepted.get(account))
    return [
        f"account {account}: its lists name {listed.get(account, (0,))[0]} orders, its events {accepted.get(account, (0,))[0]}"
        for account in differing[:SHOWN]
    ]


class Comparison:
    def __init__(self, partition: int) -> None:
        self._partition = partition
        self.journal = self.stands = self.differing = self.last = 0
        self.problems: list[str] = []

    def run(self, pieces: Iterator[bytes], rows: Iterator[bytes]) -> None:
        for events in pieces:
            count = len(events) // EVENT_BYTES
            there = list(itertools.islice(rows, count))
            self.last = Event.unpack(events, len(events) - EVENT_BYTES).sequence
            if b"".join(there) != encode(self._partition, events):
                for number in range(count):
                    event = events[number * EVENT_BYTES : (number + 1) * EVENT_BYTES]
                    self._one(self.journal + number, event, there[number] if number < len(there) else None)
            self.journal += count
            self.stands += len(there)
        for row in rows:
            self._one(self.stands, None, row)
            self.stands += 1

    def _one(self, number: int, event: bytes | None, row: bytes | None) -> None:
        if event is not None and row == encode(self._partition, event):
            return
        self.differing += 1
        if len(self.problems) < SHOWN:
            wanted = None if event is None else row_of(self._partition, Event.unpack(event))
            there = None if row is None else values_of(row)
            self.problems.append(f"event {number}: the journal gives {wanted}, PostgreSQL has {there}")


def compare(settings: EngineSettings, postgres: Postgres, *, wait_s: float = 0.0) -> dict[str, Any]:
    """The report; raises Damage, OSError, psycopg.Error."""
    found = Comparison(settings.partition)
    with connect(postgres) as connection:
        _reached(connection, settings, wait_s)
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            checkpoint = _checkpoint(connection, settings.partition)
            found.run(journal_events(settings), postgres_rows(connection, settings.partition))
            found.problems += listed_problems(connection, settings.partition)
    if checkpoint != (found.last, found.journal):
        found.problems.append(
            f"the checkpoint stands at {checkpoint}, the journal ends at {(found.last, found.journal)}"
        )
    return {
        "partition": settings.partition,
        "equal": not found.problems,
        "journal_events": found.journal,
        "postgres_events": found.stands,
        "differing_events": found.differing,
        "checkpoint_sequence": checkpoint[0],
        "journal_sequence": found.last,
        "problems": found.problems,
    }


def _checkpoint(connection: psycopg.Connection, partition: int) -> Reached:
    row = connection.execute("SELECT sequence, ordinal FROM checkpoint WHERE partition = %s", (partition,)).fetchone()
    return row or (0, 0)


def _reached(connection: psycopg.Connection, settings: EngineSettings, wait_s: float) -> None:
    """Until the checkpoint is at the journal's end, or the time is over."""
    if not wait_s:
        return
    last = 0
    for events in journal_events(settings):
        last = Event.unpack(events, len(events) - EVENT_BYTES).sequence
    deadline = time.monotonic() + wait_s
    while _checkpoint(connection, settings.partition)[0] < last and time.monotonic() < deadline:
        time.sleep(POLL_S)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m stack.persister.compare", description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="JSON file with the settings of the engine")
    parser.add_argument("--postgres", required=True, help="JSON file with the settings of its persister")
    parser.add_argument("--wait-s", type=float, default=0.0, help="how long the persister may take to reach the end")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args(arguments)
    try:
        settings = load(options.config, EngineSettings)
        postgres = load(options.postgres, PersisterSettings).postgres
        report = compare(settings, postgres, wait_s=options.wait_s)
    except Damage as error:
        return _fail(10, f"the journal is damaged: {error}")
    except (OSError, psycopg.Error, msgspec.ValidationError, msgspec.DecodeError) as error:
        return _fail(13, f"cannot compare PostgreSQL with the journal: {error}".strip())
    if options.json:
        print(json.dumps(report, default=str))
    else:
        word = "equal to" if report["equal"] else "NOT equal to"
        print(
            f"partition {report['partition']}: PostgreSQL is {word} the journal: {report['postgres_events']} rows, "
            f"{report['journal_events']} events, checkpoint at sequence {report['checkpoint_sequence']}"
        )
        for problem in report["problems"]:
            print(f"  {problem}")
    return 0 if report["equal"] else 10


def _fail(code: int, message: str) -> int:
    print(f"compare: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
