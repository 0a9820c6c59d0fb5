"""What reading a journal can find, and the verdict on where its valid records end; the same for both codecs.

    clean      whole records, then zeros or the end
    torn tail  a write that never finished: it lies above the watermark, and whatever whole records follow were made
               before this one was synced (the disk may keep the pages of one write in any order). Cut it off, go on.
    damaged    something that was synced is not there any more, or bytes stand where they do not belong

Nothing here trusts a length or a count that it reads: offsets move by whole records only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import google_crc32c

from engine.records import RECORD_BYTES, RECORD_HEADER, UNSYNCED_SHIFT

CHAIN_START = 0x6A09E667F3BCC908  # chain and events hash before the first record and event: any fixed number but 0
CHAIN_MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so that multiplying loses nothing
CHECKED_FROM = 8  # a record's checksum covers the bytes from here on

_ZEROS = bytes(1 << 16)


class Verdict(StrEnum):
    CLEAN = "clean"
    TORN = "torn tail"
    DAMAGED = "damaged"


class Scan(NamedTuple):
    records: int  # how many whole, valid, consecutive records the buffer begins with
    end_offset: int  # where they end
    sequence: int  # of the last of them, or the one before the buffer
    chain: int  # after the last of them
    verdict: Verdict
    detail: str  # one sentence for whoever must decide, empty when clean


def judged(
    buffer: bytes | bytearray | memoryview, records: int, epoch: int, sequence: int, chain: int, watermark_sequence: int
) -> Scan:
    """The Scan of a buffer whose first `records` records are valid, the last being `sequence`; the next one is not."""
    view = memoryview(buffer)
    offset = records * RECORD_BYTES
    verdict, detail = _verdict(view, offset, epoch, sequence, chain, watermark_sequence)
    if detail:
        detail = f"record {sequence + 1} at offset {offset}: {detail}"
    return Scan(records, offset, sequence, chain, verdict, detail)


def _verdict(
    view: memoryview, offset: int, epoch: int, sequence: int, chain: int, watermark_sequence: int
) -> tuple[Verdict, str]:
    synced = f"everything up to {watermark_sequence} was synced"
    if not _whole(view, offset):
        if zeros_from(view, offset):
            if sequence >= watermark_sequence:
                return Verdict.CLEAN, ""
            return Verdict.DAMAGED, f"missing, although {synced}"
        fault = _torn_fault(view, offset)
        if sequence < watermark_sequence:
            return Verdict.DAMAGED, f"{fault}, although {synced}"
        return _torn_or_damaged(view, offset, epoch, sequence + 1, fault)
    # A record with a good checksum is no torn write, whatever else is wrong with it.
    _length, _crc, its_epoch, _flags, its_chain, _events_hash, its_sequence, _time = RECORD_HEADER.unpack_from(
        view, offset
    )
    if its_epoch != epoch:
        return Verdict.DAMAGED, f"it is of epoch {its_epoch}, in a segment of epoch {epoch}"
    if its_sequence != sequence + 1:
        return Verdict.DAMAGED, f"it has sequence {its_sequence}"
    return Verdict.DAMAGED, f"its chain is {its_chain:#018x}, the records before it give {chain:#018x}"


def checksums(view: memoryview, offset: int) -> tuple[int, int]:
    """Of the record at `offset`: as stored, and as computed."""
    stored = int.from_bytes(view[offset + 4 : offset + CHECKED_FROM], "little")
    return stored, google_crc32c.value(bytes(view[offset + CHECKED_FROM : offset + RECORD_BYTES]))


def _whole(view: memoryview, offset: int) -> bool:
    if offset + RECORD_BYTES > len(view) or int.from_bytes(view[offset : offset + 4], "little") != RECORD_BYTES:
        return False
    stored, computed = checksums(view, offset)
    return stored == computed


def _torn_fault(view: memoryview, offset: int) -> str:
    if offset + RECORD_BYTES > len(view):
        return f"the segment ends after {len(view) - offset} of its {RECORD_BYTES} bytes"
    length = int.from_bytes(view[offset : offset + 4], "little")
    if length != RECORD_BYTES:
        return f"its length reads {length}, not {RECORD_BYTES}"
    stored, computed = checksums(view, offset)
    return f"checksum {stored:#010x} stored, {computed:#010x} computed"


def zeros_from(view: memoryview, offset: int) -> bool:
    for start in range(offset, len(view), len(_ZEROS)):
        piece = bytes(view[start : start + len(_ZEROS)])  # a view would be compared item by item
        if piece != _ZEROS[: len(piece)]:
            return False
    return True


def _torn_or_damaged(view: memoryview, offset: int, epoch: int, missing: int, fault: str) -> tuple[Verdict, str]:
    """The record `missing` at `offset` is not whole: had it been synced when the whole ones behind it were made?"""
    follow = 0
    for start in range(offset + RECORD_BYTES, len(view) - RECORD_BYTES + 1, RECORD_BYTES):
        if not _whole(view, start):
            continue
        _, _, its_epoch, flags, _, _, its_sequence, _ = RECORD_HEADER.unpack_from(view, start)
        if its_epoch != epoch:
            continue  # left by an earlier use of this segment
        if its_sequence - missing != (start - offset) // RECORD_BYTES:
            return (
                Verdict.DAMAGED,
                f"{fault}, and record {its_sequence} stands at offset {start}, where it does not belong",
            )
        if its_sequence - 1 - (flags >> UNSYNCED_SHIFT) >= missing:
            return (
                Verdict.DAMAGED,
                f"{fault}, although record {its_sequence} at offset {start} was made after it was synced",
            )
        follow += 1
    return Verdict.TORN, f"{fault}; " + (
        f"{follow} whole records of the same write follow" if follow else "nothing whole follows"
    )
