"""Is PostgreSQL equal to the journal? python -m stack.persister.compare --config engine-0.json --postgres persister-0.json

Replays the journal on a fresh engine and reads the rows of its partition beside it: every event stands exactly once, with
every column, in order, and the checkpoint stands at the end. It writes nothing. A journal that is still written to is
compared up to where it ended when it was read; rows beyond that are reported.

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
from engine.records import unpack_events
from stack.matcher.journal_read import Damage, Segment, read_journal, replay
from stack.persister.rows import COLUMNS, row_of
from stack.schema.__main__ import connect
from stack.settings import EngineSettings, PersisterSettings, Postgres, load

CURSOR_ROWS = 20_000
SHOWN = 10
POLL_S = 0.05
Row = tuple[int | str, ...]


def journal_rows(settings: EngineSettings) -> Iterator[Row]:
    """The row of every event of the journal; raises Damage and OSError."""
    book = engine.create(
        settings.implementation,
        max_live_orders=settings.max_live_orders,
        client_ids_max=settings.client_ids_max,
        faulted_in=False,
    )
    events_hash = CHAIN_START
    for found in read_journal(Path(settings.data_dir) / "journal", settings.partition):
        if isinstance(found, Segment):
            for group in replay(book, found, events_hash):
                events_hash = group.events_hash
                for event in unpack_events(group.events):
                    yield row_of(settings.partition, event)


def postgres_rows(connection: psycopg.Connection, partition: int) -> Iterator[Row]:
    with connection.cursor("rows") as cursor:
        cursor.itersize = CURSOR_ROWS
        names = ", ".join(COLUMNS)
        yield from cursor.execute(
            f"SELECT {names} FROM events WHERE partition = %s ORDER BY sequence, event_index",  # noqa: S608  our names
            (partition,),
        )


def compare(settings: EngineSettings, postgres: Postgres, *, wait_s: float = 0.0) -> dict[str, Any]:
    """The report; raises Damage, OSError, psycopg.Error."""
    due = list(journal_rows(settings))
    last = due[-1][0] if due else 0
    problems: list[str] = []
    differing = 0
    with connect(postgres) as connection:
        checkpoint = _reached(connection, settings.partition, int(last), wait_s)
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            stands = 0
            for number, (wanted, there) in enumerate(
                itertools.zip_longest(due, postgres_rows(connection, settings.partition))
            ):
                stands += there is not None
                if wanted != there:
                    differing += 1
                    if len(problems) < SHOWN:
                        problems.append(f"event {number}: the journal gives {wanted}, PostgreSQL has {there}")
            if checkpoint != (last, len(due)):
                problems.append(f"the checkpoint stands at {checkpoint}, the journal ends at {(last, len(due))}")
    return {
        "partition": settings.partition,
        "equal": not problems,
        "journal_events": len(due),
        "postgres_events": stands,
        "differing_events": differing,
        "checkpoint_sequence": checkpoint[0],
        "journal_sequence": last,
        "problems": problems,
    }


def _reached(connection: psycopg.Connection, partition: int, sequence: int, wait_s: float) -> tuple[int, int]:
    """The checkpoint, when it has reached `sequence` or the time is over."""
    deadline = time.monotonic() + wait_s
    while True:
        row = connection.execute(
            "SELECT sequence, ordinal FROM checkpoint WHERE partition = %s", (partition,)
        ).fetchone()
        if (row and row[0] >= sequence) or time.monotonic() >= deadline:
            return row or (0, 0)
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
