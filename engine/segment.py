"""The first 4096 bytes of a journal segment: what it is, and up to where it is known to be on disk.

    0     header, written once when the segment is created
    512   watermark slot, even counters
    1024  watermark slot, odd counters
    4096  records, 144 bytes each, then zeros to the end of the file

A watermark says "everything up to this sequence was synced". The two slots are written in turns, so that a torn write
destroys one of them at most, and the other still tells a damaged last record from one that was never synced.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import google_crc32c

MAGIC = b"HFTJRNL\0"
FORMAT_VERSION = 1
HEADER_BYTES = 4096
SLOT_OFFSETS = (512, 1024)

# magic crc format rules partition | epoch spare first_sequence chain | events_hash events created_ns
_HEADER = struct.Struct("<8sIIIIIIQQQQQ")
_CRC_FROM = 12
# crc epoch counter sequence chain
_SLOT = struct.Struct("<IIQQQ")
SLOT_BYTES = _SLOT.size


class JournalError(ValueError):
    """These bytes are no journal that we can read; the message says what was found and what was due."""


class SegmentHeader(NamedTuple):
    partition: int
    epoch: int  # grows with every segment of a partition
    first_sequence: int  # of the segment's first record
    chain: int  # over all records of earlier segments
    events_hash: int  # over all events emitted before the segment's first record
    events: int  # how many those were: the ordinal of the segment's first event
    created_ns: int
    rules_version: int = 1  # in force at the end of its first group: what an engine must know to read on

    def encode(self) -> bytes:
        """The whole 4096 bytes, both watermark slots empty."""
        fields = (FORMAT_VERSION, self.rules_version, self.partition, self.epoch, 0, self.first_sequence)
        tail = (self.chain, self.events_hash, self.events, self.created_ns)
        body = _HEADER.pack(MAGIC, 0, *fields, *tail)
        crc = google_crc32c.value(body[_CRC_FROM:])
        return (body[:8] + struct.pack("<I", crc) + body[_CRC_FROM:]).ljust(HEADER_BYTES, b"\0")

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> SegmentHeader:
        if len(data) < HEADER_BYTES:
            raise JournalError(f"segment header: {len(data)} bytes where {HEADER_BYTES} were due")
        magic, crc, version, rules, partition, epoch, _, first, chain, events_hash, events, created = (
            _HEADER.unpack_from(data)
        )
        if magic != MAGIC:
            raise JournalError(f"segment header: begins with {magic!r}, not {MAGIC!r}: no journal segment")
        computed = google_crc32c.value(bytes(data[_CRC_FROM : _HEADER.size]))
        if crc != computed:
            raise JournalError(f"segment header: damaged: checksum {crc:#010x} stored, {computed:#010x} computed")
        if version != FORMAT_VERSION:
            raise JournalError(f"segment header: format version {version}, this release reads {FORMAT_VERSION}")
        return cls(partition, epoch, first, chain, events_hash, events, created, rules)


class Watermark(NamedTuple):
    counter: int  # grows by one with each write; its parity chooses the slot
    sequence: int  # the last one known to be synced
    chain: int  # after that record

    @property
    def offset(self) -> int:
        """Where in the segment file `encode()` belongs."""
        return SLOT_OFFSETS[self.counter & 1]

    def encode(self, epoch: int) -> bytes:
        body = _SLOT.pack(0, epoch, self.counter, self.sequence, self.chain)
        return struct.pack("<I", google_crc32c.value(body[4:])) + body[4:]


def read_watermark(header: bytes | bytearray | memoryview, epoch: int) -> Watermark | None:
    """The newest whole watermark of a segment; None while none was written.

    Raises JournalError when both slots were written and neither is whole: no torn write does that.
    """
    found: list[Watermark] = []
    spoilt = 0
    for offset in SLOT_OFFSETS:
        slot = bytes(header[offset : offset + SLOT_BYTES])
        if not any(slot):
            continue
        crc, slot_epoch, counter, sequence, chain = _SLOT.unpack(slot)
        if crc == google_crc32c.value(slot[4:]) and slot_epoch == epoch and SLOT_OFFSETS[counter & 1] == offset:
            found.append(Watermark(counter, sequence, chain))
        else:
            spoilt += 1
    if spoilt == len(SLOT_OFFSETS):
        raise JournalError(f"both watermarks of epoch {epoch} are damaged")
    return max(found, default=None)
