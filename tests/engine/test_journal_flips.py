"""Bits flipped over 64 KiB of records: each is found, in the record where it is, and above the watermark it is a torn tail."""

from __future__ import annotations

import pytest

from engine import journal_python
from engine.records import RECORD_BYTES
from engine.scan import CHAIN_START, Verdict
from tests.engine.test_journal import CODECS, EPOCH, command

RECORDS, GROUP = 455, 5
STRIDE = 7  # bits; no divisor of a record's, so that in the end every place of a record has its turn


@pytest.mark.skipif("cython" not in CODECS, reason="the compiled codec is not built")
def test_flipped_bits_are_found_in_their_record_all_over_64_kib() -> None:
    codec = CODECS["cython"]
    encoder = codec.Encoder(EPOCH, 0, CHAIN_START)
    for number in range(RECORDS):
        if number % GROUP == 0:
            encoder.synced = number
        encoder.append(command(number), 1_000 + number, number if number % GROUP == 0 else None)
    data = bytearray(encoder.take())
    marked = RECORDS - GROUP  # the watermark's window: the last group's sync is not in it
    for flips, bit in enumerate(range(0, len(data) * 8, STRIDE)):
        data[bit >> 3] ^= 1 << (bit & 7)
        found = codec.scan(data, EPOCH, 0, CHAIN_START, marked)
        at = bit // 8 // RECORD_BYTES
        assert (found.records, found.verdict) == (at, Verdict.TORN if at >= marked else Verdict.DAMAGED), f"bit {bit}"
        assert found.detail.startswith(f"record {at + 1} at offset {at * RECORD_BYTES}: "), found.detail
        if flips % 500 == 0:
            assert journal_python.scan(data, EPOCH, 0, CHAIN_START, marked) == found
        data[bit >> 3] ^= 1 << (bit & 7)
