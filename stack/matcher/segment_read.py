"""Reading one segment, a stretch of whole groups at a time, into memory that is used again: a start would else take fresh
memory for all of a segment, and the kernel's handing it out costs more than reading into it.

Read, not mapped: a disk that fails is an OSError then, and not a signal that ends the process.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from engine.journal import HEADER_BYTES, JournalError, Scan, SegmentHeader, Verdict, last_group, read_watermark, scan
from engine.records import RECORD_BYTES, RECORD_HEADER

PIECE_RECORDS = 1 << 14  # 2.25 MiB: what is applied next is still in the far cache
_ZEROS = bytes(1 << 18)


class Damage(Exception):
    """Recorded data is not what was recorded; one line with file, offset and what is wrong."""


class Stretch(NamedTuple):
    """Records of one segment that follow one another: whole groups."""

    number: int
    path: Path
    header: SegmentHeader
    records: memoryview  # valid until the stretch after the next one is asked for
    begin_offset: int  # in the file; behind the header for the first stretch of a segment
    end_offset: int
    sequence: int  # of its last record, or the one before
    chain: int
    watermark: int  # counter of the newest watermark, 0 without
    watermark_sequence: int  # what it says
    time_ns: int  # of its last record, 0 without
    last: bool  # nothing of the segment comes behind it
    torn: str  # what the torn tail behind it looks like; empty without one


class Spare(NamedTuple):
    """A segment that nobody has begun; `torn_header`: its beginning did not get further than the header."""

    number: int
    path: Path
    torn_header: bool


class Buffers:
    """Two in turn, so that one stretch is read while the one before it is used."""

    def __init__(self) -> None:
        self._turn = [bytearray(), bytearray()]

    def room(self, size: int) -> memoryview:
        if len(self._turn[0]) < size:
            self._turn[0] = bytearray(size)
        return memoryview(self._turn[0])[:size]

    def turn(self) -> None:
        """What stands in the room that was asked for last is used now."""
        self._turn.reverse()


def read_segment(
    path: Path, number: int, sequence: int, chain: int, offset: int, buffers: Buffers
) -> Generator[Stretch | Spare, None, None]:
    """What stands there from an offset on, before which are the records up to `sequence`. The last stretch may be without
    records. Raises Damage and OSError."""
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size < offset:
            raise Damage(f"{path} offset 0: {size} bytes are less than a segment's header")
        head = file.read(HEADER_BYTES)
        try:
            header = SegmentHeader.decode(head)
            watermark = read_watermark(head, header.epoch)
        except JournalError as error:
            if _only_zeros(file, offset, size):
                yield Spare(number, path, torn_header=any(head))
                return
            raise Damage(f"{path} offset 0: {error}") from None
        if number == 1 and offset == HEADER_BYTES:
            chain = header.chain  # each journal's begins somewhere else; limits_file.py knows which one belongs here
        counter, marked = (watermark.counter, watermark.sequence) if watermark else (0, 0)
        wanted, last, torn = PIECE_RECORDS, False, ""
        while not last:
            view = buffers.room(min(wanted, (size - offset) // RECORD_BYTES) * RECORD_BYTES)
            _read(file, view, offset, size, path)
            found = scan(view, header.epoch, sequence, chain, 0)
            end = offset + found.end_offset
            if found.end_offset < len(view) or end + RECORD_BYTES > size:
                last, torn = _judge_end(file, path, header.epoch, found, marked, end, size)
            else:
                found = _whole_groups(view, found)
                if found.records == 0:  # one group fills it all
                    wanted *= 2
                    continue
                end, wanted = offset + found.end_offset, PIECE_RECORDS
            records = view[: found.end_offset]
            time_ns = RECORD_HEADER.unpack_from(records, len(records) - RECORD_BYTES)[7] if records else 0
            if watermark is not None and 0 <= (place := marked - sequence) <= found.records:
                follows = place < found.records
                stands = RECORD_HEADER.unpack_from(records, place * RECORD_BYTES)[4] if follows else found.chain
                if stands != watermark.chain:
                    raise Damage(
                        f"{path}: the chain after record {marked} is {stands:#018x}, and {watermark.chain:#018x} was synced: these are "
                        "the records of another journal"
                    )
            sequence, chain = found.sequence, found.chain
            buffers.turn()
            yield Stretch(
                number, path, header, records, offset, end, sequence, chain, counter, marked, time_ns, last, torn
            )
            offset = end


def _whole_groups(view: memoryview, found: Scan) -> Scan:
    """Without the last group, of which more may follow."""
    cut = last_group(view)
    records = cut // RECORD_BYTES
    chain = RECORD_HEADER.unpack_from(view, cut)[4]  # each record has the chain before it
    return found._replace(
        records=records, end_offset=cut, sequence=found.sequence - found.records + records, chain=chain
    )


def _judge_end(
    file: BinaryIO, path: Path, epoch: int, found: Scan, marked: int, end: int, size: int
) -> tuple[bool, str]:
    """Behind the last valid record: is this the end, and is it torn? Not the end where a running engine has written on since."""
    if found.sequence >= marked and _only_zeros(file, end, size):
        return True, ""
    rest = memoryview(bytearray(size - end))
    _read(file, rest, end, size, path)
    behind = scan(rest, epoch, found.sequence, found.chain, marked)
    if behind.records:
        return False, ""
    detail = f"record {found.sequence + 1}: {behind.detail.partition(': ')[2]}"  # the codec's offset is not the file's
    if behind.verdict == Verdict.DAMAGED:
        raise Damage(f"{path} offset {end}: {detail}")
    return True, detail if behind.verdict == Verdict.TORN else ""


def _read(file: BinaryIO, view: memoryview, offset: int, size: int, path: Path) -> None:
    file.seek(offset)
    read = 0
    while read < len(view):
        got = file.readinto(view[read:])  # type: ignore[attr-defined]
        if not got:
            raise Damage(f"{path} offset {offset + read}: the file ends here, it had {size} bytes a moment ago")
        read += got


def _only_zeros(file: BinaryIO, offset: int, size: int) -> bool:
    while offset < size:
        data = os.pread(file.fileno(), min(len(_ZEROS), size - offset), offset)
        if not data or data != _ZEROS[: len(data)]:
            return False
        offset += len(data)
    return True
