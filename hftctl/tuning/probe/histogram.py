"""Counts of durations in HdrHistogram's layout (two significant digits, 1 ns to an hour), and its V2 encoding.

The encoding is what HdrHistogram's own tools read and write: base64 of a deflated payload of zigzag LEB128 counts, in
which a negative number stands for so many empty places.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hftctl.errors import UsageError

SUB_BITS = 8
HALF = 1 << (SUB_BITS - 1)
LONGEST_NS = 3_600_000_000_000
PLACES = 4608
SIGNIFICANT_DIGITS = 2

PAYLOAD_COOKIE = 0x1C849313
COMPRESSED_COOKIE = 0x1C849314
HEADER = struct.Struct(">iiiiqqd")  # cookie, payload length, normalizing offset, digits, lowest, highest, ratio
OUTER = struct.Struct(">ii")
PAYLOAD_MAX_BYTES = 9 * PLACES


def place_of(value_ns: int) -> int:
    value = min(value_ns, LONGEST_NS)
    bucket = max(value.bit_length() - SUB_BITS, 0)
    return bucket * HALF + (value >> bucket)


def range_of(place: int) -> tuple[int, int]:
    """Lowest and highest value in ns that are counted at this place."""
    bucket = max(place // HALF - 1, 0)
    lowest = (place - bucket * HALF) << bucket
    return lowest, lowest + (1 << bucket) - 1


@dataclass(frozen=True)
class Histogram:
    counts: Sequence[int]  # PLACES of them

    @classmethod
    def from_bytes(cls, native: bytes) -> Histogram:
        """Unsigned 64-bit counts in this machine's byte order."""
        counts = array("Q")
        counts.frombytes(native)
        return cls(counts)

    @property
    def total(self) -> int:
        return sum(self.counts)

    def filled(self, from_ns: int = 0) -> Iterator[tuple[int, int, int]]:
        """(lowest ns, highest ns, count) of each place that holds something and reaches up to `from_ns`, ascending."""
        for place, count in enumerate(self.counts):
            if count:
                lowest, highest = range_of(place)
                if highest >= from_ns:
                    yield lowest, highest, count

    def percentile(self, percent: float, *, from_ns: int = 0) -> int | None:
        """The highest value in ns that counts as equal to the one below which so many percent are; None when empty.

        `from_ns`: of values from there on only."""
        rows = list(self.filled(from_ns))
        total = sum(count for _, _, count in rows)
        if not total:
            return None
        wanted, seen = max(math.ceil(percent / 100 * total), 1), 0
        for _, highest, count in rows:
            seen += count
            if seen >= wanted:
                return highest
        return rows[-1][1]

    def above(self, value_ns: int) -> int:
        """How many are longer; values that share a place with `value_ns` are not."""
        return sum(self.counts[place_of(value_ns) + 1 :])

    def encode(self) -> str:
        payload = b"".join(_words(self.counts))
        head = HEADER.pack(PAYLOAD_COOKIE, len(payload), 0, SIGNIFICANT_DIGITS, 1, LONGEST_NS, 1.0)
        packed = zlib.compress(head + payload, 9)
        return base64.b64encode(OUTER.pack(COMPRESSED_COOKIE, len(packed)) + packed).decode()

    @classmethod
    def decode(cls, text: str) -> Histogram:
        """Raises UsageError for what is no histogram of this layout."""
        try:
            raw = base64.b64decode(text, validate=True)
            cookie, length = OUTER.unpack_from(raw)
            stream = zlib.decompressobj()
            plain = stream.decompress(raw[OUTER.size : OUTER.size + length], HEADER.size + PAYLOAD_MAX_BYTES + 1)
            inner, size, offset, digits, lowest, highest, _ = HEADER.unpack_from(plain)
        except (binascii.Error, struct.error, zlib.error, ValueError) as error:
            raise UsageError(f"this is no HdrHistogram in V2 encoding: {error}") from error
        whole = stream.eof and len(plain) == HEADER.size + size
        if (cookie, inner, offset) != (COMPRESSED_COOKIE, PAYLOAD_COOKIE, 0) or not whole:
            raise UsageError("this is no HdrHistogram in V2 encoding: its head says something else")
        if (digits, lowest, highest) != (SIGNIFICANT_DIGITS, 1, LONGEST_NS):
            raise UsageError(f"a histogram of {digits} digits from {lowest} to {highest} cannot be compared with ours")
        return cls(_counts(plain[HEADER.size :]))


def _words(counts: Sequence[int]) -> Iterator[bytes]:
    """Up to the last count that is not 0."""
    empty = 0
    for count in counts:
        if count == 0:
            empty += 1
            continue
        if empty:
            yield _leb128(-empty)
            empty = 0
        yield _leb128(count)


def _leb128(value: int) -> bytes:
    """Zigzag, at most nine bytes: the ninth one takes eight bits."""
    left = (value << 1) ^ (value >> 63)
    out = bytearray()
    while left > 0x7F and len(out) < 8:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left & 0xFF)
    return bytes(out)


def _counts(payload: bytes) -> Sequence[int]:
    counts, at = array("Q"), 0
    while at < len(payload):
        value = shift = 0
        for index in range(9):
            if at >= len(payload):
                raise UsageError("this histogram ends in the middle of a count")
            byte = payload[at]
            at += 1
            value |= (byte if index == 8 else byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        number = (value >> 1) ^ -(value & 1)
        if len(counts) + max(-number, 1) > PLACES:
            raise UsageError(f"this histogram has more than {PLACES} places")
        counts.extend([0] * -number if number < 0 else [number])
    counts.extend([0] * (PLACES - len(counts)))
    return counts


def resolution() -> str:
    """For reports: how exact a percentile is."""
    return f"exact below {1 << SUB_BITS} ns, above within {100 / HALF:.1f} %"
