"""python -m stack.matcher.verify --data DIR: is this journal whole, and does its replay give what was recorded?

Reads every record of every segment (checksum, chain, epoch, watermark), applies them to a fresh engine, compares each
group's events hash, and the event log and its index with what the replay gives. It writes nothing and takes no lock, so
that it may look at a partition that is running; what arrives meanwhile may look like a torn tail, and what a killed engine
had synced but not yet logged is counted, not called damage: the next start logs it. Snapshots are neither read nor trusted.

Exit code 0: whole. 10: damaged, or the event log differs. The next start rewrites what differs above the snapshot
it begins from; below it nothing is looked at, so move `snapshots/` away first: then all of the log is made anew. 2: no journal there.
"""

from __future__ import annotations

import argparse
import json
import sys
from array import array
from pathlib import Path
from typing import Any

import engine
from engine.api import MatchingEngine
from engine.journal import CHAIN_START, HEADER_BYTES, JournalError, SegmentHeader
from engine.records import EVENT_BYTES, RECORD_BYTES, Event, EventKind
from stack.matcher.definitions import follow
from stack.matcher.event_read import BRIEF, EventReader
from stack.matcher.journal_files import segment_numbers, segment_path
from stack.matcher.journal_read import Damage, Stretch, extent, read_journal, replay
from stack.matcher.limits_file import Limits, read_limits, whose_journal
from stack.matcher.refusal import EXIT_DAMAGED, EXIT_REFUSED
from stack.wire.tables import Tables

BOOK_DEPTH = 1_000_000


class Verification:
    """Walks a journal; `report` holds what was found so far, damage included."""

    def __init__(self, data_dir: Path, implementation: engine.Implementation = "auto") -> None:
        self._journal = data_dir / "journal"
        self._log = EventReader(data_dir / "events")
        self._has_log = (data_dir / "events").is_dir()
        self._last = array("Q")  # per sequence 1 + ordinal of that order's last event
        self._tables = Tables()
        self._doubtful: list[tuple[int, bytes]] = []  # first ordinal and events of groups that the log has otherwise
        limits = read_limits(data_dir)
        self._others = whose_journal(data_dir, limits) if limits is not None else ""
        limits = limits or Limits(max_live_orders=1 << 20)
        self._engine: MatchingEngine = engine.create(
            implementation, max_live_orders=limits.max_live_orders, client_ids_max=1 << 22, faulted_in=False
        )
        self.report: dict[str, Any] = {"data": str(data_dir), "verdict": "whole", "problems": []}

    def run(self) -> None:
        """Raises OSError."""
        segments = spares = groups = missing = 0
        newest: Stretch | None = None
        events_hash = CHAIN_START
        torn = ""
        if self._others:
            self._problem(self._others)
        try:
            for found in read_journal(self._journal, self._partition()):
                if not isinstance(found, Stretch):
                    spares += 1
                    continue
                segments += newest is None or newest.number != found.number
                newest = found._replace(records=memoryview(b""))
                if found.torn:
                    torn = f"{found.path} offset {found.end_offset}: {found.torn}"
                for group in replay(self._engine, found, events_hash):
                    groups += 1
                    self._compare(group.events)
                    events_hash = group.events_hash
            missing = self._compare_log()
        except Damage as damage:
            self._problem(str(damage))
        book = self._engine
        self.report |= {
            "segments": segments,
            "spares": spares,
            "epoch": newest.header.epoch if newest else 0,
            "records": book.sequence,
            "record_bytes": book.sequence * RECORD_BYTES,
            "groups": groups,
            "events": book.events,
            "events_not_logged_yet": missing,
            "trades": book.trades,
            "live_orders": book.live,
            "halted": book.halted,
            "instruments": len(self._tables.instruments),
            "accounts": len(self._tables.accounts),
            "last_time_ns": newest.time_ns if newest else 0,
            "watermark_sequence": newest.watermark_sequence if newest else 0,
            "torn_tail": torn,
            "state_hash": book.state_hash(),
            "implementation": book.implementation,
        }

    def book(self, symbol: str) -> dict[str, Any] | None:
        listed = self._tables.symbols.get(symbol)
        if listed is None:
            return None
        book = self._engine.book(listed.id, BOOK_DEPTH)
        sides = {"bids": book.bids, "asks": book.asks}
        return {"symbol": symbol, "sequence": self._engine.sequence} | {
            name: [
                {"price": listed.tick.text(price), "quantity": listed.lot.text(quantity), "orders": orders}
                for price, quantity, orders in levels
            ]
            for name, levels in sides.items()
        }

    def _partition(self) -> int:
        numbers = segment_numbers(self._journal)
        if not numbers:
            raise FileNotFoundError(f"no journal segments in {self._journal}")
        with segment_path(self._journal, numbers[0]).open("rb") as file:
            try:
                return SegmentHeader.decode(file.read(HEADER_BYTES)).partition
            except JournalError:
                return 0  # the walk says what is wrong

    def _compare(self, events: bytes) -> None:
        log, first = self._log, self._engine.events - len(events) // EVENT_BYTES
        there = log.peek(first, len(events) // EVENT_BYTES) if self._has_log else b""
        if there != events:
            self._doubtful.append((first, events))  # a running engine writes the log after it synced the journal
        last = self._last
        for place, (order, kind, _reason) in enumerate(BRIEF.iter_unpack(events)):
            if order and kind != EventKind.REFUSED:
                if order >= len(last):
                    last.frombytes(bytes(8 * (order + 1 - len(last))))
                last[order] = first + place + 1
            elif kind in (EventKind.INSTRUMENT_DEFINED, EventKind.ACCOUNT_DEFINED):
                self._tables = follow(self._tables, Event.unpack(events, place * EVENT_BYTES))

    def _compare_log(self) -> int:
        """Look again at what differed, and at the index; returns how many events the log does not have yet."""
        if not self._has_log:
            return self._engine.events
        missing, end = 0, self._engine.events
        for first, events in self._doubtful:
            there = self._log.peek(first, len(events) // EVENT_BYTES).ljust(len(events), b"\0")
            for at in range(0, len(events), EVENT_BYTES):
                stands = there[at : at + EVENT_BYTES]
                if not any(stands):
                    missing, end = missing + 1, min(end, first + at // EVENT_BYTES)
                elif stands != events[at : at + EVENT_BYTES]:
                    self._problem(f"event log: event {first + at // EVENT_BYTES} is not what the replay gives")
                    return missing
        newest = self._log.newest_command(self._engine.events, self._engine.sequence)
        if newest > extent(self._journal):  # the watermark of a running engine has gone on
            self._problem(
                f"event log: it knows command {newest}, which was durable, and the journal ends at {self._engine.sequence}: "
                "its end is gone, or it is an older copy"
            )
        if end + missing < self._engine.events:
            self._problem(f"event log: event {end} is missing, later ones are there")
        for order, last in enumerate(self._last):
            # A running engine may have gone on since this order was replayed; it never goes back.
            if self._log.last_of(order) < last <= end:
                self._problem(f"event index: order {order} does not end at event {last - 1}, as in the replay")
                break
        return missing

    def _problem(self, text: str) -> None:
        self.report["verdict"] = "damaged"
        self.report["problems"].append(text)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stack.matcher.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="a partition's data folder")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.add_argument("--book", metavar="SYMBOL", help="add the book of this symbol as the replay leaves it")
    parser.add_argument("--implementation", choices=["auto", "cython", "python"], default="auto")
    arguments = parser.parse_args()
    try:
        verification = _verified(arguments.data, arguments.implementation)
    except (OSError, RuntimeError) as error:
        print(f"verify: cannot read the journal in {arguments.data}: {error}", file=sys.stderr)
        return EXIT_REFUSED
    report = verification.report
    if arguments.book:
        report["book"] = verification.book(arguments.book)
        if report["book"] is None:
            print(f"verify: the journal defines no instrument {arguments.book}", file=sys.stderr)
            return EXIT_REFUSED
    if arguments.json:
        print(json.dumps(report))
    else:
        _print(report)
    return EXIT_DAMAGED if report["problems"] else 0


def _verified(data_dir: Path, implementation: engine.Implementation) -> Verification:
    """A running engine may begin a segment between two of our reads: only what is found again is damage."""
    for _ in range(3):
        verification = Verification(data_dir, implementation)
        verification.run()
        if not verification.report["problems"]:
            break
    return verification


def _print(report: dict[str, Any]) -> None:
    book, problems = report.get("book"), report["problems"]
    for name, value in report.items():
        if name not in ("book", "problems"):
            print(f"{name:14} {value}")
    for problem in problems:
        print(f"problem        {problem}")
    if book is None:
        return
    for side, levels in (("ask", reversed(book["asks"])), ("bid", book["bids"])):
        for level in levels:
            print(f"{side} {level['price']:>16} {level['quantity']:>20} {level['orders']:>6}")


if __name__ == "__main__":
    sys.exit(main())
