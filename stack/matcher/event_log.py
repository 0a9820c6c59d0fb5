"""The event log: what happened, one fixed-width event after the other, found by ordinal and by order.

Not synced: it is derived from the journal, and the start rebuilds what differs. Only durable groups get in, so that
everybody may read everything in it. The files are event_files.py's; who writes is `writer`, compiled where it is built.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from engine.records import EVENT_BYTES, Event
from stack.matcher import event_writer
from stack.matcher.event_files import EVENTS, EVENTS_PER_FILE, EventFiles, end_of_data
from stack.matcher.event_read import EventReader
from stack.matcher.journal_files import write_at

try:
    from stack.matcher.event_writer_cython import Writer
except ImportError:  # engine.implementations() says why
    from stack.matcher.event_writer import Writer

_INDEX_OFFSET = 72  # of `index`, the place among its command's events


class Summary(NamedTuple):
    """What a piece of the event stream holds."""

    events: int
    fills: int
    refusals: dict[int, int]  # reason -> how many
    of_no_order: list[Event]


class EventLog(EventReader):
    def __init__(
        self, directory: Path, *, implementation: Literal["auto", "python"] = "auto", only_compares: bool = False
    ) -> None:
        """`only_compares`: a replay beside the writer of these files; nothing is written, differences are counted."""
        super().__init__(directory)
        self._files = EventFiles(directory)
        self.writer = (event_writer.Writer if implementation == "python" else Writer)(self._files, only_compares)
        self._told_fills = 0
        self._told_refusals: dict[int, int] = {}

    @property
    def end(self) -> int:
        """The next event's ordinal."""
        return self.writer.end

    # ---- writing

    def append(self, events: bytes | bytearray | memoryview) -> Summary:
        """Events of whole commands that are durable. Raises OSError."""
        self.writer.append(events)
        return self._summary(len(events) // EVENT_BYTES)

    def begin_rebuild(self, end: int = 0) -> None:
        """What stands from `end` on is compared with what `writer.adopt` gets; from the beginning, the index is made anew."""
        self.close()
        if end == 0:
            self._files.forget_index()
        self.writer.restart_at(end)

    def finish_rebuild(self) -> int:
        """Cut off what the journal does not know; returns how many events that were. Counting begins here."""
        self.writer.forget_counts()
        self._told_fills, self._told_refusals = 0, {}
        last, place = divmod(self.end, EVENTS_PER_FILE)
        cut = 0
        for path in sorted(self.directory.glob(f"*{EVENTS}")):
            number = int(path.stem)
            if number < last:
                continue
            keep = place * EVENT_BYTES if number == last else 0
            behind = end_of_data(path, keep) - keep
            if behind:
                cut += -(-behind // EVENT_BYTES)
                with path.open("r+b") as file:
                    write_at(file.fileno(), bytes(behind), keep, path)
        return cut

    def _summary(self, events: int) -> Summary:
        fills, refusals = self.writer.fills, self.writer.refusals()
        told_fills, told = self._told_fills, self._told_refusals
        self._told_fills, self._told_refusals = fills, refusals
        since = {reason: count - told.get(reason, 0) for reason, count in refusals.items()}
        return Summary(
            events,
            fills - told_fills,
            {reason: count for reason, count in since.items() if count},
            [Event.unpack(event) for event in self.writer.take_of_no_order()],
        )

    # ---- reading

    def chain_before(self, end: int, limit: int) -> tuple[bytes, int]:
        if isinstance(self.writer, event_writer.Writer):
            return super().chain_before(end, limit)
        return self.writer.chain_before(end, limit)

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
        return ordinal >= self.end or self.peek(ordinal, 1)[_INDEX_OFFSET : _INDEX_OFFSET + 4] == b"\0\0\0\0"

    def close(self) -> None:
        """It can be used again; files are opened anew."""
        super().close()
        self.writer.close()
        self._files.close()
