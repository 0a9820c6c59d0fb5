"""Writing the event log in plain Python; event_writer_cython.pyx does the same without an object per event.

Always true: what is below `end` is in the files, and the index names the last event of every order up to there.
"""

from __future__ import annotations

import mmap
import os
from collections import Counter

from engine.records import EVENT_BYTES, EventKind
from stack.matcher.event_files import EVENTS, EVENTS_PER_FILE, INDEX, INDEX_FILE_BYTES, SEQUENCES_PER_FILE, EventFiles
from stack.matcher.event_read import BRIEF
from stack.matcher.journal_files import write_at

_FILL, _REFUSED = int(EventKind.FILL), int(EventKind.REFUSED)
_MAPPED_MAX = 1024


class Writer:
    implementation = "python"

    def __init__(self, files: EventFiles, only_compares: bool = False) -> None:
        self._only_compares = only_compares
        self.end = 0  # the next event's ordinal
        self.fills = 0  # since `forget_counts`, as the two below
        self._refusals: Counter[int] = Counter()
        self._of_no_order: list[bytes] = []
        self._files = files
        self._fd = self._number = -1  # the file of events that was written last
        self._index: dict[int, tuple[mmap.mmap, memoryview]] = {}

    def append(self, events: bytes) -> None:
        """Events of whole commands that are durable. Raises OSError."""
        self._write(events)
        self._remember(events)

    def adopt(self, events: bytes) -> int:
        """As `append`, for a replay: writes only what differs from what is there, or not even that; returns how many did."""
        differing = 0
        for at in range(0, len(events), EVENT_BYTES):
            event = events[at : at + EVENT_BYTES]
            number, place = divmod(self.end, EVENTS_PER_FILE)
            self._use_file(number)
            if self._fd < 0 or os.pread(self._fd, EVENT_BYTES, place * EVENT_BYTES) != event:
                differing += 1
                if not self._only_compares:
                    self._write(event)
            if self._only_compares:
                self.end += 1
            else:
                self._remember(event)
        return differing

    def restart_at(self, end: int) -> None:
        """The next event is this one. What was mapped or open is let go."""
        self.close()
        self.end = end

    def forget_counts(self) -> None:
        """What was counted so far was a replay."""
        self.fills = 0
        self._refusals.clear()
        self._of_no_order.clear()

    def refusals(self) -> dict[int, int]:
        """How many by reason."""
        return dict(self._refusals)

    def take_of_no_order(self) -> list[bytes]:
        """The events of no order since the last call: definitions, halts and rolls."""
        taken, self._of_no_order = self._of_no_order, []
        return taken

    def close(self) -> None:
        for mapped, view in self._index.values():
            view.release()
            mapped.close()
        self._index.clear()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = self._number = -1

    def _write(self, events: bytes) -> None:
        written = 0
        while written < len(events):
            number, place = divmod(self.end + written // EVENT_BYTES, EVENTS_PER_FILE)
            self._use_file(number)
            piece = events[written : written + (EVENTS_PER_FILE - place) * EVENT_BYTES]
            write_at(self._fd, piece, place * EVENT_BYTES, self._files.path(number, EVENTS))
            written += len(piece)

    def _use_file(self, number: int) -> None:
        if number == self._number:
            return
        if self._only_compares:
            self.close()
            path = self._files.path(number, EVENTS)
            if path.exists():
                self._fd, self._number = os.open(path, os.O_RDONLY | os.O_CLOEXEC), number
            return
        path = self._files.ready(number, EVENTS)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._number = os.open(path, os.O_RDWR | os.O_CLOEXEC), number
        self._files.prepare(number + 1, EVENTS)

    def _remember(self, events: bytes) -> None:
        ordinal = self.end
        number, view = -1, memoryview(b"")
        for order, kind, reason in BRIEF.iter_unpack(events):
            ordinal += 1
            if kind == _REFUSED:
                self._refusals[reason] += 1
            elif order:
                if order // SEQUENCES_PER_FILE != number:
                    number = order // SEQUENCES_PER_FILE
                    view = self._index_file(number)
                view[order % SEQUENCES_PER_FILE] = ordinal
                if kind == _FILL:
                    self.fills += 1
            else:
                at = (ordinal - 1 - self.end) * EVENT_BYTES
                self._of_no_order.append(events[at : at + EVENT_BYTES])
        self.end = ordinal

    def _index_file(self, number: int) -> memoryview:
        found = self._index.get(number)
        if found is None:
            with self._files.ready(number, INDEX).open("r+b") as file:
                mapped = mmap.mmap(file.fileno(), INDEX_FILE_BYTES)
            while len(self._index) >= _MAPPED_MAX:
                old, view = self._index.pop(next(iter(self._index)))
                view.release()
                old.close()
            found = self._index[number] = mapped, memoryview(mapped).cast("Q")
            self._files.prepare(number + 1, INDEX)
        return found[1]
