"""A whole journal, segment after segment: does it hold together, and does replaying it give the events it gave?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.api import MatchingEngine
from engine.journal import HEADER_BYTES, JournalError, SegmentHeader, Verdict, hash_events, read_watermark, scan
from engine.records import FIRST_OF_GROUP, RECORD_BYTES, RECORD_HEADER

Buffer = bytes | bytearray | memoryview


class Verification(NamedTuple):
    segments: int  # read, the one that the verdict is about included
    records: int
    sequence: int  # of the last valid record
    chain: int  # after it
    verdict: Verdict
    detail: str  # names the segment by its place, from 0, and what is wrong with it


def verify(segments: Iterable[Buffer]) -> Verification:
    """Read consecutive segments, oldest first, each as one buffer with its header. Stops at the first that is not clean.

    The first segment's header is believed about what came before it. Only the last segment may end in a torn tail.
    """
    count = records = sequence = chain = 0
    previous: SegmentHeader | None = None
    torn = ""
    for place, segment in enumerate(segments):
        count += 1
        name = f"segment {place}"
        if torn:
            return Verification(count, records, sequence, chain, Verdict.DAMAGED, f"{torn}, and {name} follows it")
        try:
            header = SegmentHeader.decode(segment)
            watermark = read_watermark(segment, header.epoch)
        except JournalError as error:
            return Verification(count, records, sequence, chain, Verdict.DAMAGED, f"{name}: {error}")
        if previous is None:
            sequence, chain = header.first_sequence - 1, header.chain
        fault = _does_not_follow(header, previous, sequence, chain)
        if fault:
            return Verification(count, records, sequence, chain, Verdict.DAMAGED, f"{name}: {fault}")
        synced = watermark.sequence if watermark else header.first_sequence - 1
        found = scan(memoryview(segment)[HEADER_BYTES:], header.epoch, sequence, chain, synced)
        records += found.records
        sequence, chain = found.sequence, found.chain
        previous = header
        if found.verdict == Verdict.DAMAGED:
            return Verification(count, records, sequence, chain, Verdict.DAMAGED, f"{name}: {found.detail}")
        torn = f"{name}: {found.detail}" if found.verdict == Verdict.TORN else ""
    return Verification(count, records, sequence, chain, Verdict.TORN if torn else Verdict.CLEAN, torn)


def _does_not_follow(header: SegmentHeader, previous: SegmentHeader | None, sequence: int, chain: int) -> str:
    if previous is None:
        return ""
    if header.partition != previous.partition:
        return f"of partition {header.partition}, the one before of partition {previous.partition}"
    if header.epoch <= previous.epoch:
        return f"epoch {header.epoch} does not follow epoch {previous.epoch}"
    if header.first_sequence != sequence + 1:
        return f"begins with sequence {header.first_sequence}, the one before ends with {sequence}"
    if header.chain != chain:
        return f"begins with chain {header.chain:#018x}, the one before ends with {chain:#018x}"
    return ""


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

    Raises JournalError at the first group whose journal remembers other events than the replay gave.
    """
    view = memoryview(records)
    for group in groups(records):
        if group.events_hash not in (None, events_hash):
            raise JournalError(
                f"replay differs: the events up to sequence {engine.sequence} hash to {events_hash:#018x}, "
                f"the journal has {group.events_hash:#018x}"
            )
        events = engine.apply(view[group.start : group.end])
        events_hash = hash_events(events_hash, events)
        yield events, events_hash
