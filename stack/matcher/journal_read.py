"""Reading a journal back: which records are there, and whether that is all of them. Never writes.

The verdict on each segment is the codec's (engine/scan.py). Here is what holds between segments: epochs grow, sequence and
chain go on, only the newest segment with records may have a torn tail, and only empty spares come after it.

Segments are read, not mapped: a disk that fails is an OSError then, and not a signal that ends the process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from engine import replay as engine_replay
from engine.api import MatchingEngine
from engine.journal import (
    CHAIN_START,
    HEADER_BYTES,
    JournalError,
    SegmentHeader,
    Verdict,
    read_watermark,
    scan,
)
from engine.records import RECORD_BYTES, RECORD_HEADER, RULES_VERSION
from engine.scan import zeros_from
from stack.matcher.journal_files import Point, segment_numbers, segment_path


class Damage(Exception):
    """Recorded data is not what was recorded; one line with file, offset and what is wrong."""


class Segment(NamedTuple):
    number: int
    path: Path
    header: SegmentHeader
    records: memoryview  # the whole ones, from `begin_offset` on
    begin_offset: int  # in the file; behind the header, unless an earlier point was asked for
    end_offset: int
    sequence: int  # of its last record, or the one before
    chain: int
    watermark: int  # counter of the newest watermark, 0 without
    watermark_sequence: int  # what it says
    time_ns: int  # of its last record, 0 without
    torn: str  # what the torn tail looks like; empty without one


class Spare(NamedTuple):
    """A segment that nobody has begun; `torn_header`: its beginning did not get further than the header."""

    number: int
    path: Path
    torn_header: bool


BEGINNING = Point(1, 0, HEADER_BYTES, 0, CHAIN_START, 0, CHAIN_START, 0)


def read_journal(directory: Path, partition: int, since: Point = BEGINNING) -> Iterator[Segment | Spare]:
    """All segments, oldest first, then the spares; or from a point on that `stands_at` has found there. Raises Damage and
    OSError."""
    sequence, chain, epoch = since.sequence, since.chain, since.epoch
    newest: Segment | None = None
    spare: Spare | None = None
    for place, number in enumerate(segment_numbers(directory), start=1):
        path = segment_path(directory, number)
        if number != place:
            raise Damage(f"{directory}: segment {place:08d} is missing, {path.name} is there")
        if number < since.segment:
            continue
        inside = since.epoch != 0 and number == since.segment
        try:
            found = _read_segment(path, number, sequence, chain, since.offset if inside else HEADER_BYTES)
        except Damage:
            if newest is not None and newest.torn:
                raise _torn_inside(newest, path) from None
            raise
        if isinstance(found, Spare):
            spare = found
            yield found
            continue
        header = found.header
        if spare is not None:
            raise Damage(f"{spare.path} offset 0: empty, although {path.name} after it holds records")
        if newest is not None and newest.torn:
            raise _torn_inside(newest, path)
        if not inside:
            check_follows(path, header, partition, sequence, chain, epoch)
        if header.rules_version != RULES_VERSION:
            raise Damage(
                f"{path} offset 0: written under rules version {header.rules_version}, this engine has {RULES_VERSION}"
                " and does not replay across versions"
            )
        sequence, chain, epoch, newest = found.sequence, found.chain, header.epoch, found
        yield found


def check_follows(path: Path, header: SegmentHeader, partition: int, sequence: int, chain: int, epoch: int) -> None:
    for name, stands, due in (
        ("partition", header.partition, partition),
        ("first sequence", header.first_sequence, sequence + 1),
        ("chain", header.chain, chain),
    ):
        if stands != due:
            raise Damage(f"{path} offset 0: {name} {stands} in the header, {due} was due")
    if header.epoch <= epoch:
        raise Damage(f"{path} offset 0: epoch {header.epoch} does not follow epoch {epoch}")


def stands_at(directory: Path, partition: int, point: Point) -> str:
    """Empty when this journal has been at that point; else why it has not. Raises OSError."""
    path = segment_path(directory, point.segment)
    if not path.exists():
        return f"{path.name} is not there"
    with path.open("rb") as file:
        try:
            header = SegmentHeader.decode(file.read(HEADER_BYTES))
        except JournalError as error:
            return f"{path.name}: {error}"
        inside = point.offset - HEADER_BYTES
        for name, stands, due in (
            ("partition", header.partition, partition),
            ("epoch", header.epoch, point.epoch),
            ("rules version", header.rules_version, RULES_VERSION),
            ("offset", inside, (point.sequence + 1 - header.first_sequence) * RECORD_BYTES),
        ):
            if stands != due:
                return f"{path.name}: {name} {stands}, the snapshot has {due}"
        if inside == 0:
            chain, sequence = header.chain, header.first_sequence - 1
        else:
            file.seek(point.offset - RECORD_BYTES)
            record = file.read(RECORD_BYTES)
            before = scan(record, point.epoch, point.sequence - 1, RECORD_HEADER.unpack_from(record)[4], 0)
            chain, sequence = before.chain, before.sequence
    if (sequence, chain) != (point.sequence, point.chain):
        return f"{path.name} has another record {point.sequence}"
    return ""


def ahead(segments: Iterator[Segment | Spare]) -> Iterator[Segment | Spare]:
    """The same, the next one being read and checked in a thread while the last one is used."""
    end = None
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as thread:
        coming = thread.submit(next, segments, end)
        while (found := coming.result()) is not None:
            coming = thread.submit(next, segments, end)
            yield found


def extent(directory: Path) -> int:
    """About how many commands a journal holds: what its newest watermark says. No verdict; raises OSError."""
    for number in reversed(segment_numbers(directory)):
        with segment_path(directory, number).open("rb") as file:
            head = file.read(HEADER_BYTES)
        try:
            header = SegmentHeader.decode(head)
            watermark = read_watermark(head, header.epoch)
        except JournalError:
            continue  # a spare; if it is damage, the replay finds it
        return watermark.sequence if watermark else header.first_sequence - 1
    return 0


def _torn_inside(newest: Segment, follower: Path) -> Damage:
    return Damage(f"{newest.path} offset {newest.end_offset}: {newest.torn}, and {follower.name} follows")


def _read_segment(path: Path, number: int, sequence: int, chain: int, offset: int) -> Segment | Spare:
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size < offset:
            raise Damage(f"{path} offset 0: {size} bytes are less than a segment's header")
        head = file.read(HEADER_BYTES)
        data = bytearray(size - offset)
        file.seek(offset)
        view = memoryview(data)
        read = 0
        while read < len(data):
            got = file.readinto(view[read:])
            if not got:
                raise Damage(f"{path} offset {offset + read}: the file ends here, it had {size} bytes a moment ago")
            read += got
    try:
        header = SegmentHeader.decode(head)
        watermark = read_watermark(head, header.epoch)
    except JournalError as error:
        if zeros_from(view, 0):
            return Spare(number, path, torn_header=any(head))
        raise Damage(f"{path} offset 0: {error}") from None
    found = scan(view, header.epoch, sequence, chain, watermark.sequence if watermark else 0)
    records = view[: found.end_offset]
    end = offset + found.end_offset
    detail = f"record {found.sequence + 1}: {found.detail.partition(': ')[2]}"  # the codec's offset is not the file's
    if found.verdict == Verdict.DAMAGED:
        raise Damage(f"{path} offset {end}: {detail}")
    torn = detail if found.verdict == Verdict.TORN else ""
    time_ns = RECORD_HEADER.unpack_from(records, len(records) - RECORD_BYTES)[7] if records else 0
    counter, marked = (watermark.counter, watermark.sequence) if watermark else (0, 0)
    return Segment(
        number, path, header, records, offset, end, found.sequence, found.chain, counter, marked, time_ns, torn
    )


class Replayed(NamedTuple):
    """One group, applied."""

    events: bytes
    events_hash: int  # over all events up to here


def replay(engine: MatchingEngine, segment: Segment, events_hash: int) -> Iterator[Replayed]:
    """Apply a segment's records group by group. Raises Damage at the first group after which the replay has other
    events than there were when it was written."""
    check_begins(engine, segment, events_hash)
    try:
        for events, after in engine_replay.replay(engine, segment.records, events_hash):
            yield Replayed(events, after)
    except engine_replay.ReplayDiffers as error:
        raise differing(segment, error) from None


def check_begins(engine: MatchingEngine, segment: Segment, events_hash: int) -> None:
    """Raises Damage when the engine is not where it was when the segment began."""
    header = segment.header
    if segment.begin_offset != HEADER_BYTES:
        return
    for name, stands, due in (
        ("events", header.events, engine.events),
        ("events hash", header.events_hash, events_hash),
    ):
        if stands != due:
            raise Damage(
                f"{segment.path} offset 0: the replay differs before sequence {header.first_sequence}: "
                f"{name} {stands} recorded, {due} replayed"
            )


def differing(segment: Segment, error: engine_replay.ReplayDiffers) -> Damage:
    offset = HEADER_BYTES + (error.sequence + 1 - segment.header.first_sequence) * RECORD_BYTES
    return Damage(f"{segment.path} offset {offset}: {error}")
