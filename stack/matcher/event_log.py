"""The event log: what happened, one fixed-width event after the other, found by ordinal and by order.

Not synced: it is derived from the journal, and the start rebuilds what differs. Only durable groups get in, so that
everybody may read everything in it.

    data_dir/events/00000000.events   EVENTS_PER_FILE events; ordinal n is in file n // EVENTS_PER_FILE
    data_dir/events/00000000.index    per command sequence 8 bytes: 1 + ordinal of that order's last event, 0 if none

Events are written with pwrite, because a full disk is an error there; both are read through mappings. The index is written
through its mapping, so its files are filled with zeros when they are made: a hole could fail without an error to catch.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.records import EVENT_BYTES, Event, EventKind
from stack.matcher.journal_files import write_at

EVENTS_PER_FILE = 1 << 18
SEQUENCES_PER_FILE = 1 << 18
_FILE_BYTES = EVENTS_PER_FILE * EVENT_BYTES
_INDEX_BYTES = SEQUENCES_PER_FILE * 8

BRIEF = struct.Struct("<8xQ60xB4xB46x")  # order, kind, reason of an event
_PREVIOUS = struct.Struct("<Q")
_PREVIOUS_OFFSET = 24
_INDEX_OFFSET = 72  # of `index`, the place among its command's events
_FILL, _REFUSED = int(EventKind.FILL), int(EventKind.REFUSED)


class Summary(NamedTuple):
    """What a piece of the event stream holds."""

    events: int
    fills: int
    refusals: dict[int, int]  # reason -> how many
    of_no_order: list[Event]


class EventLog:
    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self._directory = directory
        self._read_only = read_only
        self._files: dict[int, tuple[int, mmap.mmap]] = {}
        self._index: dict[int, tuple[mmap.mmap, memoryview]] = {}
        self.end = 0  # the next event's ordinal
        if not read_only:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    # ---- writing

    def begin_rebuild(self) -> None:
        """Forget the index; `append` makes it anew."""
        self.end = 0
        self._close_index()
        for path in self._directory.glob("*.index"):
            path.unlink()

    def append(self, events: bytes) -> Summary:
        """Events of whole commands that are durable. Raises OSError."""
        written = 0
        while written < len(events):
            number, place = divmod(self.end + written // EVENT_BYTES, EVENTS_PER_FILE)
            piece = events[written : written + (EVENTS_PER_FILE - place) * EVENT_BYTES]
            fd = self._file(number)[0]
            write_at(fd, piece, place * EVENT_BYTES, self._path(number))
            written += len(piece)
        return self._remember(events)

    def adopt(self, events: bytes) -> tuple[Summary, int]:
        """As `append`, for a replay: writes only what differs from what is there; and how many events did."""
        there = self.peek(self.end, len(events) // EVENT_BYTES)
        if there == events:
            return self._remember(events), 0
        pairs = zip(_pieces(events), _pieces(there.ljust(len(events), b"\0")), strict=True)
        return self.append(events), sum(one != other for one, other in pairs)

    def finish_rebuild(self) -> int:
        """Cut off what the journal does not know; returns how many events that were."""
        last, place = divmod(self.end, EVENTS_PER_FILE)
        cut = 0
        for path in sorted(self._directory.glob("*.events")):
            number = int(path.stem)
            if number < last:
                continue
            keep = place * EVENT_BYTES if number == last else 0
            data = path.read_bytes()[keep:].rstrip(b"\0")
            if data:
                cut += -(-len(data) // EVENT_BYTES)
                write_at(self._file(number)[0], bytes(len(data)), keep, path)
        return cut

    def _remember(self, events: bytes) -> Summary:
        ordinal = self.end
        fills = 0
        refusals: dict[int, int] = {}
        of_no_order: list[Event] = []
        number, view = -1, memoryview(b"")
        for order, kind, reason in BRIEF.iter_unpack(events):
            ordinal += 1
            if kind == _REFUSED:
                refusals[reason] = refusals.get(reason, 0) + 1
            elif order:
                if order // SEQUENCES_PER_FILE != number:
                    number = order // SEQUENCES_PER_FILE
                    view = self._index_file(number)
                view[order % SEQUENCES_PER_FILE] = ordinal
                if kind == _FILL:
                    fills += 1
            else:
                of_no_order.append(Event.unpack(events, (ordinal - 1 - self.end) * EVENT_BYTES))
        count = ordinal - self.end
        self.end = ordinal
        return Summary(count, fills, refusals, of_no_order)

    # ---- reading

    def last_of(self, order: int) -> int:
        """1 + ordinal of the order's last event; 0 if no such order was ever accepted."""
        number, place = divmod(order, SEQUENCES_PER_FILE)
        if order <= 0 or (number not in self._index and not self._index_path(number).exists()):
            return 0
        return int(self._index_file(number)[place])

    def chain(self, order: int) -> bytes:
        """All events of one order, oldest first; empty for one that was never accepted."""
        pieces = []
        following = self.last_of(order)
        while following:
            number, place = divmod(following - 1, EVENTS_PER_FILE)
            start = place * EVENT_BYTES
            event = self._file(number)[1][start : start + EVENT_BYTES]
            pieces.append(event)
            (following,) = _PREVIOUS.unpack_from(event, _PREVIOUS_OFFSET)
        pieces.reverse()
        return b"".join(pieces)

    def read(self, first: int, count: int) -> bytes:
        """Up to `count` events from ordinal `first`, cut after the last whole command; more, if one command has more."""
        end = min(first + count, self.end)
        if end <= first:
            return b""
        whole = end
        while whole > first and not self._begins_command(whole):
            whole -= 1
        if whole == first:
            whole = end
            while not self._begins_command(whole):
                whole += 1
        return self.peek(first, whole - first)

    def _begins_command(self, ordinal: int) -> bool:
        if ordinal >= self.end:
            return True
        number, place = divmod(ordinal, EVENTS_PER_FILE)
        at = place * EVENT_BYTES + _INDEX_OFFSET
        return self._file(number)[1][at : at + 4] == b"\0\0\0\0"

    def peek(self, first: int, count: int) -> bytes:
        """What the files hold at these ordinals, whether it belongs to the log or not; short where no file is."""
        pieces = []
        while count > 0:
            number, place = divmod(first, EVENTS_PER_FILE)
            if not self._is_there(number):
                break
            take = min(count, EVENTS_PER_FILE - place)
            pieces.append(self._file(number)[1][place * EVENT_BYTES : (place + take) * EVENT_BYTES])
            first += take
            count -= take
        return b"".join(pieces)

    # ---- files

    def _is_there(self, number: int) -> bool:
        if number in self._files:
            return True
        path = self._path(number)
        return path.exists() and (not self._read_only or path.stat().st_size >= _FILE_BYTES)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:08d}.events"

    def _index_path(self, number: int) -> Path:
        return self._directory / f"{number:08d}.index"

    def _file(self, number: int) -> tuple[int, mmap.mmap]:
        found = self._files.get(number)
        if found is None:
            flags = os.O_RDONLY if self._read_only else os.O_RDWR | os.O_CREAT
            fd = os.open(self._path(number), flags | os.O_CLOEXEC, 0o600)
            try:
                if not self._read_only and os.fstat(fd).st_size < _FILE_BYTES:
                    os.ftruncate(fd, _FILE_BYTES)
                found = fd, mmap.mmap(fd, _FILE_BYTES, prot=mmap.PROT_READ)
            except BaseException:
                os.close(fd)
                raise
            self._files[number] = found
        return found

    def _index_file(self, number: int) -> memoryview:
        found = self._index.get(number)
        if found is None:
            path = self._index_path(number)
            if self._read_only:
                with path.open("rb") as file:
                    mapped = mmap.mmap(file.fileno(), _INDEX_BYTES, prot=mmap.PROT_READ)
            else:
                if not path.exists() or path.stat().st_size != _INDEX_BYTES:
                    path.write_bytes(bytes(_INDEX_BYTES))
                with path.open("r+b") as file:
                    mapped = mmap.mmap(file.fileno(), _INDEX_BYTES)
            found = mapped, memoryview(mapped).cast("Q")
            self._index[number] = found
        return found[1]

    def _close_index(self) -> None:
        for mapped, view in self._index.values():
            view.release()
            mapped.close()
        self._index.clear()

    def close(self) -> None:
        self._close_index()
        for fd, mapped in self._files.values():
            mapped.close()
            os.close(fd)
        self._files.clear()


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[at : at + EVENT_BYTES] for at in range(0, len(data), EVENT_BYTES))
