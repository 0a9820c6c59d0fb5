"""Reading a journal back: which records are there, and whether that is all of them. Never writes.

The verdict on each segment is the codec's (engine/scan.py), its reading segment_read.py's. Here is what holds between
segments: epochs grow, sequence and chain go on, only the newest segment with records may have a torn tail, and only empty
spares come after it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from engine import replay as engine_replay
from engine.api import MatchingEngine
from engine.journal import (
    CHAIN_START,
    HEADER_BYTES,
    JournalError,
    SegmentHeader,
    read_watermark,
    scan,
)
from engine.records import RECORD_BYTES, RECORD_HEADER, RULES_VERSION
from stack.matcher.journal_files import Point, segment_numbers, segment_path
from stack.matcher.segment_read import Buffers, Damage, Spare, Stretch, read_segment

BEGINNING = Point(1, 0, HEADER_BYTES, 0, CHAIN_START, 0, CHAIN_START, 0)


def read_journal(directory: Path, partition: int, since: Point = BEGINNING) -> Generator[Stretch | Spare, None, None]:
    """All segments, oldest first and each in stretches, then the spares; or from a point on that `stands_at` has found
    there. Raises Damage and OSError."""
    sequence, chain, epoch = since.sequence, since.chain, since.epoch
    newest: Stretch | None = None
    spare: Spare | None = None
    buffers = Buffers()
    for place, number in enumerate(segment_numbers(directory), start=1):
        path = segment_path(directory, number)
        if number != place:
            raise Damage(f"{directory}: segment {place:08d} is missing, {path.name} is there")
        if number < since.segment:
            continue
        inside = since.epoch != 0 and number == since.segment
        begin = since.offset if inside else HEADER_BYTES
        with closing(read_segment(path, number, sequence, chain, begin, buffers)) as stretches:
            while True:
                try:
                    found = next(stretches, None)
                except Damage:
                    if newest is not None and newest.torn:
                        raise _torn_inside(newest, path) from None
                    raise
                if found is None:
                    break
                if isinstance(found, Spare):
                    spare = found
                    yield found
                    continue
                if newest is None or newest.number != number:
                    if spare is not None:
                        raise Damage(f"{spare.path} offset 0: empty, although {path.name} after it holds records")
                    if newest is not None and newest.torn:
                        raise _torn_inside(newest, path)
                    if not inside:
                        begins = found.header.chain if number == 1 else chain
                        check_follows(path, found.header, partition, sequence, begins, epoch)
                    check_rules(path, found.header)
                newest = found
                yield found
        if newest is not None and newest.number == number:
            sequence, chain, epoch = newest.sequence, newest.chain, newest.header.epoch


class NewerRules(Damage):
    """Nothing is damaged: a later release wrote this, and used what this engine does not know."""


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


def check_rules(path: Path, header: SegmentHeader) -> None:
    if header.rules_version > RULES_VERSION:
        raise NewerRules(
            f"{path}: written under rules {header.rules_version}, and this engine knows rules up to {RULES_VERSION}; start a release "
            "that knows them (the one that wrote it, or a later one), or restore a backup from before they were used"
        )


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


def _torn_inside(newest: Stretch, follower: Path) -> Damage:
    return Damage(f"{newest.path} offset {newest.end_offset}: {newest.torn}, and {follower.name} follows")


class Replayed(NamedTuple):
    """One group, applied."""

    events: bytes
    events_hash: int  # over all events up to here


def replay(engine: MatchingEngine, segment: Stretch, events_hash: int) -> Iterator[Replayed]:
    """Apply a segment's records group by group. Raises Damage at the first group after which the replay has other
    events than there were when it was written."""
    check_begins(engine, segment, events_hash)
    try:
        for events, after in engine_replay.replay(engine, segment.records, events_hash):
            yield Replayed(events, after)
    except engine_replay.ReplayDiffers as error:
        raise differing(segment, error) from None


def check_begins(engine: MatchingEngine, segment: Stretch, events_hash: int) -> None:
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


def differing(segment: Stretch, error: engine_replay.ReplayDiffers) -> Damage:
    offset = HEADER_BYTES + (error.sequence + 1 - segment.header.first_sequence) * RECORD_BYTES
    return Damage(f"{segment.path} offset {offset}: {error}")
