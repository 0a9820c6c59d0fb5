"""From a journal to an engine and an event log that stand where it stands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from engine.api import MatchingEngine
from engine.records import Event, EventKind
from engine.replay import ReplayDiffers
from stack.matcher import replay_plain
from stack.matcher.ahead import ahead
from stack.matcher.definitions import follow
from stack.matcher.event_log import EventLog
from stack.matcher.journal_files import Point
from stack.matcher.journal_read import (
    BEGINNING,
    Spare,
    Stretch,
    check_begins,
    differing,
    read_journal,
)
from stack.wire.tables import Tables

try:
    from stack.matcher import replay_cython
except ImportError:  # engine.implementations() says why
    replay_cython = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


class Recovered(NamedTuple):
    newest: Stretch | None  # without its records
    spares: list[Spare]
    tables: Tables
    point: Point  # the journal's end


def recover(
    directory: Path,
    partition: int,
    book: MatchingEngine,
    log: EventLog,
    reached: Callable[[int], None],
    *,
    since: Point = BEGINNING,
    tables: Tables | None = None,
) -> Recovered:
    """Apply the journal from a point on which engine and log stand already. `reached(sequence)` is called now and then.
    Raises Damage and OSError."""
    tables = tables or Tables()
    newest: Stretch | None = None
    spares: list[Spare] = []
    point = since
    rewritten = 0
    with closing(log.writer), closing(ahead(read_journal(directory, partition, since))) as journal:
        for found in journal:
            if isinstance(found, Spare):
                spares.append(found)
                continue
            for events_hash, differed in apply_stretch(book, log, found, point.events_hash):
                rewritten += differed
                reached(book.sequence)
                tables = follow_all(tables, log)
                point = point._replace(events_hash=events_hash)
            newest = found._replace(records=memoryview(b""))
            point = point_after(newest, point, book.events)
    if rewritten:
        logger.warning("wrote %d events into the event log that were not there or differed", rewritten)
    return Recovered(newest, spares, tables, point)


def apply_stretch(book: MatchingEngine, log: EventLog, stretch: Stretch, events_hash: int) -> Iterator[tuple[int, int]]:
    """Whole groups at a time; yields the hash over all events so far, and how many the log had otherwise."""
    check_begins(book, stretch, events_hash)
    apply_groups: Any = replay_plain.apply_groups
    if replay_cython is not None and book.implementation == log.writer.implementation == replay_cython.IMPLEMENTATION:
        apply_groups = replay_cython.apply_groups
    at = 0
    try:
        while at < len(stretch.records):
            at, events_hash, differed = apply_groups(book, log.writer, stretch.records, at, events_hash)
            yield events_hash, differed
    except ReplayDiffers as error:
        raise differing(stretch, error) from None


def point_after(stretch: Stretch, before: Point, events: int) -> Point:
    """The end of a stretch that was applied; `before` has the hash over all events already."""
    return Point(
        stretch.number,
        stretch.header.epoch,
        stretch.end_offset,
        stretch.sequence,
        stretch.chain,
        events,
        before.events_hash,
        max(before.time_ns, stretch.time_ns),
    )


def follow_all(tables: Tables, log: EventLog) -> Tables:
    """The tables after the definitions that were logged since the last look."""
    for encoded in log.writer.take_of_no_order():
        event = Event.unpack(encoded)
        if event.kind in (EventKind.INSTRUMENT_DEFINED, EventKind.ACCOUNT_DEFINED):
            tables = follow(tables, event)
    return tables
