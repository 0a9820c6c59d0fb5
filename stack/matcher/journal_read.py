"""Reading a journal back: which records are there, and whether that is all of them. Never writes.

The verdict on each segment is the codec's (engine/scan.py). Here is what holds between segments: epochs grow, sequence and
chain go on, only the newest segment with records may have a torn tail, and only empty spares come after it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
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
from stack.matcher.journal_files import segment_numbers, segment_path


class Damage(Exception):
    """Recorded data is not what was recorded; one line with file, offset and what is wrong."""


class Segment(NamedTuple):
    number: int
    path: Path
    header: SegmentHeader
    records: bytes  # the whole ones
    end_offset: int  # in the file
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


def read_journal(directory: Path, partition: int) -> Iterator[Segment | Spare]:
    """All segments, oldest first, then the spares. Raises Damage and OSError."""
    sequence, chain, epoch = 0, CHAIN_START, 0
    newest: Segment | None = None
    spare: Spare | None = None
    for place, number in enumerate(segment_numbers(directory), start=1):
        path = segment_path(directory, number)
        if number != place:
            raise Damage(f"{directory}: segment {place:08d} is missing, {path.name} is there")
        try:
            found = _read_segment(path, number, sequence, chain)
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
        for name, stands, due in (
            ("partition", header.partition, partition),
            ("first sequence", header.first_sequence, sequence + 1),
            ("chain", header.chain, chain),
        ):
            if stands != due:
                raise Damage(f"{path} offset 0: {name} {stands} in the header, {due} was due")
        if header.epoch <= epoch:
            raise Damage(f"{path} offset 0: epoch {header.epoch} does not follow epoch {epoch}")
        if header.rules_version != RULES_VERSION:
            raise Damage(
                f"{path} offset 0: written under rules version {header.rules_version}, this engine has {RULES_VERSION}"
                " and does not replay across versions"
            )
        sequence, chain, epoch, newest = found.sequence, found.chain, header.epoch, found
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


def _read_segment(path: Path, number: int, sequence: int, chain: int) -> Segment | Spare:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < HEADER_BYTES:
            raise Damage(f"{path} offset 0: {size} bytes are less than a segment's header")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            head = mapped[:HEADER_BYTES]
            try:
                header = SegmentHeader.decode(head)
                watermark = read_watermark(head, header.epoch)
            except JournalError as error:
                if _is_zero(mapped, HEADER_BYTES):
                    return Spare(number, path, torn_header=any(head))
                raise Damage(f"{path} offset 0: {error}") from None
            with memoryview(mapped) as view, view[HEADER_BYTES:] as body:
                found = scan(body, header.epoch, sequence, chain, watermark.sequence if watermark else 0)
                records = bytes(body[: found.end_offset])
    end = HEADER_BYTES + found.end_offset
    detail = f"record {found.sequence + 1}: {found.detail.partition(': ')[2]}"  # the codec's offset is not the file's
    if found.verdict == Verdict.DAMAGED:
        raise Damage(f"{path} offset {end}: {detail}")
    torn = detail if found.verdict == Verdict.TORN else ""
    time_ns = RECORD_HEADER.unpack_from(records, len(records) - RECORD_BYTES)[7] if records else 0
    counter, marked = (watermark.counter, watermark.sequence) if watermark else (0, 0)
    return Segment(number, path, header, records, end, found.sequence, found.chain, counter, marked, time_ns, torn)


def _is_zero(mapped: mmap.mmap, start: int) -> bool:
    step = 1 << 20
    return not any(mapped[at : at + step].strip(b"\0") for at in range(start, len(mapped), step))


class Replayed(NamedTuple):
    """One group, applied."""

    events: bytes
    events_hash: int  # over all events up to here


def replay(engine: MatchingEngine, segment: Segment, events_hash: int) -> Iterator[Replayed]:
    """Apply a segment's records group by group. Raises Damage at the first group after which the replay has other
    events than there were when it was written."""
    header = segment.header
    for name, stands, due in (
        ("events", header.events, engine.events),
        ("events hash", header.events_hash, events_hash),
    ):
        if stands != due:
            raise Damage(
                f"{segment.path} offset 0: the replay differs before sequence {header.first_sequence}: "
                f"{name} {stands} recorded, {due} replayed"
            )
    try:
        for events, after in engine_replay.replay(engine, segment.records, events_hash):
            yield Replayed(events, after)
    except JournalError as error:
        offset = HEADER_BYTES + (engine.sequence + 1 - header.first_sequence) * RECORD_BYTES
        raise Damage(f"{segment.path} offset {offset}: {error}") from None
