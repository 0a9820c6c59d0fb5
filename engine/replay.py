"""Does replaying a journal's records give the events that it gave when they were written?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from engine.api import MatchingEngine
from engine.journal import JournalError, hash_events
from engine.records import FIRST_OF_GROUP, RECORD_BYTES, RECORD_HEADER

Buffer = bytes | bytearray | memoryview


class ReplayDiffers(JournalError):
    """The journal remembers other events than the replay gave, up to and with those of command `sequence`."""

    def __init__(self, sequence: int, message: str) -> None:
        super().__init__(message)
        self.sequence = sequence


class Group(NamedTuple):
    """Records that were synced together."""

    start: int  # offsets in the buffer
    end: int
    events_hash: int | None  # over all events before the group; None where the buffer begins inside a group


def groups(records: Buffer) -> Iterator[Group]:
    start, due = 0, None
    for offset in range(0, len(records), RECORD_BYTES):
        _, _, _, flags, _, events_hash, _, _ = RECORD_HEADER.unpack_from(records, offset)
        if flags & FIRST_OF_GROUP:
            if offset:
                yield Group(start, offset, due)
            start, due = offset, events_hash
    if len(records):
        yield Group(start, len(records), due)


def replay(engine: MatchingEngine, records: Buffer, events_hash: int) -> Iterator[tuple[bytes, int]]:
    """Apply valid records group by group; yields each group's events and the hash over all events up to there.

    Raises ReplayDiffers at the first group whose journal remembers other events than the replay gave.
    """
    view = memoryview(records)
    for group in groups(records):
        if group.events_hash not in (None, events_hash):
            raise differs(engine.sequence, events_hash, group.events_hash)
        events = engine.apply(view[group.start : group.end])
        events_hash = hash_events(events_hash, events)
        yield events, events_hash


def differs(sequence: int, replayed: int, recorded: int | None) -> ReplayDiffers:
    return ReplayDiffers(
        sequence,
        f"replay differs: the events up to sequence {sequence} hash to {replayed:#018x}, the journal has {recorded:#018x}",
    )
