"""The journal's codec in plain Python: pure functions over buffers, no files.

Every record carries a checksum of itself and, as its `chain`, a running hash of all records before it:

    crc    = CRC32C(record[8:144])
    chain of the next record = mix(chain, crc)
    mix(chain, crc): x = (chain ^ crc) * CHAIN_MULTIPLIER modulo 2**64; x ^ (x >> 32)

For a fixed crc `mix` is a bijection of the chain and for a fixed chain no two crcs meet, so that any one change in the
past changes every later chain. It guards against accidents and misplaced bytes, not against a forger.
"""

from __future__ import annotations

import google_crc32c

from engine.records import (
    COMMAND_BYTES,
    FIRST_OF_GROUP,
    RECORD_BYTES,
    RECORD_HEADER,
    UNSYNCED_MAX,
    UNSYNCED_SHIFT,
)
from engine.scan import CHAIN_MULTIPLIER, CHECKED_FROM, Scan, checksums, judged

IMPLEMENTATION = "python"

Buffer = bytes | bytearray | memoryview

_MASK = (1 << 64) - 1
_COMMAND_BODY_BYTES = COMMAND_BYTES - 4  # the token is the wire's, not the journal's
_NO_TOKEN = bytes(4)


def crc32c(data: Buffer) -> int:
    return google_crc32c.value(data if isinstance(data, bytes) else bytes(data))


def mix(chain: int, crc: int) -> int:
    mixed = ((chain ^ crc) * CHAIN_MULTIPLIER) & _MASK
    return mixed ^ (mixed >> 32)


def hash_events(previous: int, events: Buffer) -> int:
    """The running hash over all events, after one more group of them."""
    return mix(previous, crc32c(events))


class Encoder:
    """Makes records of commands: sequence, checksum and chain.

    `sequence` and `chain` are those of the last record that exists already (0 and CHAIN_START in an empty journal), and
    that one is synced. Whoever syncs keeps `synced` up to date: each record says how many before it were not known to be
    synced when it was made. After a power cut that tells a hole that a write left from a hole in what had been promised.
    """

    def __init__(self, epoch: int, sequence: int, chain: int) -> None:
        self.epoch = epoch
        self.sequence = sequence
        self.chain = chain
        self.synced = sequence
        self._pending: list[bytes] = []

    def append(self, command: Buffer, time_ns: int, events_hash: int | None = None) -> bytes:
        """The record of one command, for `Engine.apply`; it also joins what `take` hands over.

        events_hash: given for the first record of a group, over all events before the group.
        """
        if len(command) != COMMAND_BYTES:
            raise ValueError(f"{len(command)} bytes are no command of {COMMAND_BYTES} bytes")
        unsynced = min(self.sequence - self.synced, UNSYNCED_MAX)
        flags = unsynced << UNSYNCED_SHIFT | (0 if events_hash is None else FIRST_OF_GROUP)
        header = RECORD_HEADER.pack(
            RECORD_BYTES, 0, self.epoch, flags, self.chain, events_hash or 0, self.sequence + 1, time_ns
        )
        checked = header[CHECKED_FROM:] + bytes(command[:_COMMAND_BODY_BYTES]) + _NO_TOKEN
        crc = google_crc32c.value(checked)
        record = header[:4] + crc.to_bytes(4, "little") + checked
        self.sequence += 1
        self.chain = mix(self.chain, crc)
        self._pending.append(record)
        return record

    def extend(self, commands: Buffer, time_ns: int, events_hash: int | None = None) -> bytes:
        """The records of many commands, one after the other; events_hash goes to the first."""
        if len(commands) % COMMAND_BYTES:
            raise ValueError(f"{len(commands)} bytes are no whole number of commands of {COMMAND_BYTES} bytes")
        view = memoryview(commands)
        records = []
        for offset in range(0, len(view), COMMAND_BYTES):
            records.append(self.append(view[offset : offset + COMMAND_BYTES], time_ns, events_hash))
            events_hash = None
        return b"".join(records)

    def take(self) -> bytes:
        """All records since the last call, to be written."""
        taken = b"".join(self._pending)
        self._pending.clear()
        return taken

    def roll(self, epoch: int) -> None:
        """The next record belongs to a new segment. Sequence and chain go on."""
        if self._pending:
            raise ValueError(f"{len(self._pending)} records of epoch {self.epoch} were not taken yet")
        if epoch <= self.epoch:
            raise ValueError(f"epoch {epoch} does not follow epoch {self.epoch}")
        self.epoch = epoch


def last_group(records: Buffer) -> int:
    """Offset of the last record that begins a group; 0 where there is none behind the first."""
    for offset in range(len(records) - RECORD_BYTES, 0, -RECORD_BYTES):
        if RECORD_HEADER.unpack_from(records, offset)[3] & FIRST_OF_GROUP:
            return offset
    return 0


def scan(buffer: Buffer, epoch: int, sequence: int, chain: int, watermark_sequence: int) -> Scan:
    """Read the records of one segment, its 4096 bytes of header left out.

    `sequence` and `chain`: of the last record before this segment. `watermark_sequence`: everything up to there was
    synced, so it must be here.
    """
    view = memoryview(buffer)
    records = 0
    for offset in range(0, len(view) - RECORD_BYTES + 1, RECORD_BYTES):
        length, crc, its_epoch, _, its_chain, _, its_sequence, _ = RECORD_HEADER.unpack_from(view, offset)
        if (length, its_epoch, its_sequence, its_chain) != (RECORD_BYTES, epoch, sequence + 1, chain):
            break
        stored, computed = checksums(view, offset)
        if stored != computed:
            break
        records += 1
        sequence += 1
        chain = mix(chain, crc)
    return judged(view, records, epoch, sequence, chain, watermark_sequence)
