"""What a start begins from: the newest snapshot that is whole and of this journal, or nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from engine.api import MatchingEngine
from engine.records import EVENT_BYTES, INSTRUMENT, Event, EventKind
from stack.matcher.definitions import follow
from stack.matcher.event_files import EVENTS, EVENTS_FILE_BYTES, INDEX, INDEX_FILE_BYTES, SEQUENCES_PER_FILE
from stack.matcher.event_read import BRIEF, EventReader
from stack.matcher.journal_files import Point
from stack.matcher.journal_read import BEGINNING, stands_at
from stack.matcher.snapshot_file import (
    Described,
    Unusable,
    describe,
    event_ends,
    event_files,
    load_snapshot,
    snapshot_paths,
)
from stack.wire.tables import Tables

if TYPE_CHECKING:
    from engine.matching import Engine

logger = logging.getLogger(__name__)

_LOOKED_AT_BYTES = 4096


class Begun(NamedTuple):
    """An engine, and where in the journal it stands."""

    book: MatchingEngine
    point: Point
    tables: Tables
    skipped: tuple[str, ...]  # snapshots that could not be used, and why


def begin(data_dir: Path, partition: int, make: Callable[[], MatchingEngine], *, max_live_orders: int) -> Begun:
    """`make` makes an engine without orders. Raises OSError where the journal cannot be read."""
    book = make()
    skipped: list[str] = []
    for path in snapshot_paths(data_dir):
        touched = False
        try:
            if book.implementation != "cython":
                raise Unusable("the plain-Python engine reads none, it replays in full")
            described = describe(path)
            _check(data_dir, partition, described, max_live_orders)
            touched = True
            load_snapshot(path, described, cast("Engine", book))
        except (Unusable, OSError) as error:
            logger.warning("snapshot %s is not used: %s", path, error)
            skipped.append(f"{path.name}: {error}")
            if touched:
                del book  # before the next one asks for as much memory
                book = make()
            continue
        return Begun(book, described.point, tables_of(cast("Engine", book)), tuple(skipped))
    return Begun(book, BEGINNING, Tables(), tuple(skipped))


def _check(data_dir: Path, partition: int, described: Described, max_live_orders: int) -> None:
    """Is it of this journal, under these limits, and is the event log there up to its point? Raises Unusable, OSError."""
    if described.max_live_orders != max_live_orders:
        raise Unusable(f"it was taken under max_live_orders {described.max_live_orders}, not {max_live_orders}")
    if described.partition != partition:
        raise Unusable(f"it is of partition {described.partition}, not {partition}")
    point = described.point
    why_not = stands_at(data_dir / "journal", partition, point)
    if why_not:
        raise Unusable(f"it is not of this journal: {why_not}")
    for path in event_files(data_dir, point):
        if path.suffix == INDEX and int(path.stem) in described.no_index:
            continue
        due = EVENTS_FILE_BYTES if path.suffix == EVENTS else INDEX_FILE_BYTES
        if not path.exists() or path.stat().st_size != due:
            raise Unusable(f"the event log below it is not whole: {path.name} is missing or short")
    if event_ends(data_dir, point) != described.event_ends:
        raise Unusable("the event log below it is not that of this journal: a file of events begins or ends otherwise")
    _check_index(data_dir, described)


def _check_index(data_dir: Path, described: Described) -> None:
    """From both ends of each file of the index, one entry must lead to an event of its order. Raises Unusable and OSError."""
    reader = EventReader(data_dir / "events")
    try:
        for number in range(described.point.sequence // SEQUENCES_PER_FILE + 1):
            if number in described.no_index:
                continue
            with (data_dir / "events" / f"{number:08d}{INDEX}").open("rb") as file:
                for place in (0, INDEX_FILE_BYTES - _LOOKED_AT_BYTES):
                    file.seek(place)
                    entries = memoryview(file.read(_LOOKED_AT_BYTES)).cast("Q")
                    entry = next((at for at, after in enumerate(entries) if after), None)
                    if entry is None:
                        continue
                    order = number * SEQUENCES_PER_FILE + place // 8 + entry
                    event = reader.peek(entries[entry] - 1, 1)
                    if order <= described.point.sequence and (
                        len(event) < EVENT_BYTES or BRIEF.unpack(event)[0] != order
                    ):
                        raise Unusable(
                            f"the index of the event log is not that of this journal: order {order} ends elsewhere"
                        )
    finally:
        reader.close()


def known_up_to(data_dir: Path, journal: int) -> int:
    """The last command of the newest snapshot of this very journal: durable once, whether the snapshot can be used or not."""
    for path in snapshot_paths(data_dir):
        try:
            described = describe(path)
        except (Unusable, OSError):
            continue
        if described.journal == journal:
            return described.point.sequence
    return 0


def tables_of(book: Engine) -> Tables:
    """The tables that the definitions in an engine come to."""
    tables = Tables()
    instruments, accounts = book.definitions()
    nothing: Any = dict.fromkeys(Event._fields[:12], 0)
    for definition in instruments:
        (_, tick_scale, lot_scale, state, _, length, _, _, symbol, tick, lot, base, currency, name, _) = (
            INSTRUMENT.unpack(definition)
        )
        defined = nothing | {
            "kind": EventKind.INSTRUMENT_DEFINED, "symbol": symbol, "price": tick, "side": tick_scale, "quantity": lot,
            "type": lot_scale, "leaves": base, "trade": int.from_bytes(currency, "little"), "tif": state,
            "text": name[:length],
        }  # fmt: skip
        tables = follow(tables, Event(**defined))
    for number, text in enumerate(accounts, start=1):
        defined = nothing | {"kind": EventKind.ACCOUNT_DEFINED, "account": number, "text": text}
        tables = follow(tables, Event(**defined))
    return tables
