"""Reading the event log: events by ordinal, and all events of one order by following each to its previous one."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from engine.records import EVENT_BYTES
from stack.matcher.event_files import (
    EVENTS,
    EVENTS_FILE_BYTES,
    EVENTS_PER_FILE,
    INDEX,
    INDEX_FILE_BYTES,
    SEQUENCES_PER_FILE,
    end_of_data,
)

BRIEF = struct.Struct("<8xQ60xB4xB46x")  # order, kind, reason of an event
_PREVIOUS = struct.Struct("<Q")
_PREVIOUS_OFFSET = 24
_INDEX_ENTRY = struct.Struct("<Q")
_MAPPED_MAX = 256  # files of each kind that stay mapped: half a GiB of index, 8 GiB of addresses for events


class EventReader:
    """What the files hold, whether the log has come that far or not. Makes no file and writes nothing."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._events: dict[int, mmap.mmap] = {}
        self._index: dict[int, mmap.mmap] = {}

    def last_of(self, order: int) -> int:
        """1 + ordinal of the order's last event; 0 if no such order was ever accepted."""
        number, place = divmod(order, SEQUENCES_PER_FILE)
        if order <= 0:
            return 0
        mapped = self._index.get(number) or self._map(self._index, number, INDEX, INDEX_FILE_BYTES)
        return int(_INDEX_ENTRY.unpack_from(mapped, place * 8)[0]) if mapped is not None else 0

    def chain(self, order: int) -> bytes:
        """All events of one order, oldest first; empty for one that was never accepted."""
        return self.chain_before(self.last_of(order), -1)[0]

    def chain_before(self, end: int, limit: int) -> tuple[bytes, int]:
        """A chain's newest events up to `end`, 1 + ordinal of one of them, oldest first; and the `end` of those before, or 0.

        At most `limit` events; all for -1. What stands in the log never changes: a chain may be read piece by piece.
        """
        pieces = []
        while end and len(pieces) != limit:
            event = self.peek(end - 1, 1)
            pieces.append(event)
            (end,) = _PREVIOUS.unpack_from(event, _PREVIOUS_OFFSET)
        pieces.reverse()
        return b"".join(pieces), end

    def peek(self, first: int, count: int) -> bytes:
        """The events at these ordinals; short where no file is."""
        pieces = []
        while count > 0:
            number, place = divmod(first, EVENTS_PER_FILE)
            mapped = self._events.get(number) or self._map(self._events, number, EVENTS, EVENTS_FILE_BYTES)
            if mapped is None:
                break
            take = min(count, EVENTS_PER_FILE - place)
            pieces.append(mapped[place * EVENT_BYTES : (place + take) * EVENT_BYTES])
            first += take
            count -= take
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _map(self, mapped: dict[int, mmap.mmap], number: int, suffix: str, size: int) -> mmap.mmap | None:
        """None where no whole file is."""
        path = self.directory / f"{number:08d}{suffix}"
        try:
            if path.stat().st_size < size:
                return None
            with path.open("rb") as file:
                found = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
        except FileNotFoundError:
            return None
        while len(mapped) >= _MAPPED_MAX:
            mapped.pop(next(iter(mapped))).close()
        mapped[number] = found
        return found

    def newest_command(self, end: int, sequence: int) -> int:
        """The highest command above `sequence` whose events stand behind ordinal `end`; 0 without any. Only durable ones got in.

        Each command has an event at least, so the command of the nth event behind the end is at most `sequence + n`: what
        claims more is no event of ours.
        """
        last, place = divmod(end, EVENTS_PER_FILE)
        newest = 0
        for path in sorted(self.directory.glob(f"*{EVENTS}")):
            number = int(path.stem)
            if number >= last:
                first = place if number == last else 0
                with path.open("rb") as file:
                    file.seek(first * EVENT_BYTES)
                    data = file.read(end_of_data(path, first * EVENT_BYTES) - first * EVENT_BYTES)
                behind = number * EVENTS_PER_FILE + first - end
                for at in range(0, len(data), EVENT_BYTES):
                    behind += 1
                    command = int.from_bytes(data[at : at + 8], "little")
                    if command - sequence <= behind:
                        newest = max(newest, command)
        return newest if newest > sequence else 0

    def close(self) -> None:
        """It can be used again; files are mapped anew."""
        for mapped in (self._events, self._index):
            while mapped:
                mapped.popitem()[1].close()
