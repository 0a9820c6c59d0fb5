"""Do the segments below a snapshot still belong to this journal? A start does not read them, but it looks at both ends of each.

Of every segment its header and its last record are read: sequence and chain must lead to the header of the next one, the last
of them to the segment that the snapshot stands in. So a segment that is missing, or is another journal's, refuses the
start. What was changed between its ends only `stack.matcher.verify` finds, which reads everything.
"""

from __future__ import annotations

from pathlib import Path

from engine.journal import HEADER_BYTES, JournalError, SegmentHeader, scan
from engine.records import RECORD_BYTES, RECORD_HEADER
from stack.matcher.journal_files import Point, segment_path
from stack.matcher.journal_read import Damage, check_follows


def check_links(directory: Path, partition: int, until: Point) -> None:
    """Raises Damage and OSError."""
    path = segment_path(directory, 1)
    header = segment_header(path)
    check_follows(path, header, partition, 0, header.chain, 0)
    for number in range(2, until.segment + 1):
        following = segment_path(directory, number)
        next_header = segment_header(following)
        chain = chain_after(path, header, next_header.first_sequence - 1)
        check_follows(following, next_header, partition, next_header.first_sequence - 1, chain, header.epoch)
        path, header = following, next_header


def segment_header(path: Path) -> SegmentHeader:
    try:
        with path.open("rb") as file:
            return SegmentHeader.decode(file.read(HEADER_BYTES))
    except FileNotFoundError:
        raise Damage(f"{path} is missing, and commands in it are below a snapshot") from None
    except JournalError as error:
        raise Damage(f"{path} offset 0: {error}") from None


def chain_after(path: Path, header: SegmentHeader, last: int) -> int:
    """The chain after the segment's record of sequence `last`."""
    if last == header.first_sequence - 1:
        return header.chain
    offset = HEADER_BYTES + (last - header.first_sequence) * RECORD_BYTES
    with path.open("rb") as file:
        file.seek(max(offset, 0))
        record = file.read(RECORD_BYTES)
    if offset < HEADER_BYTES or len(record) < RECORD_BYTES:
        raise Damage(f"{path}: record {last}, after which the next segment begins, is not in it")
    found = scan(record, header.epoch, last - 1, RECORD_HEADER.unpack_from(record)[4], last)
    if found.records != 1:
        raise Damage(f"{path} offset {offset}: {found.detail}")
    return found.chain
