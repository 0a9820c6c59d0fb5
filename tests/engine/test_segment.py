"""Segment headers, watermarks, and what replaying records must give."""

from __future__ import annotations

import pytest

import engine
from engine.journal import CHAIN_START, Encoder, JournalError, SegmentHeader, Watermark, read_watermark
from engine.records import RECORD_BYTES
from engine.replay import groups, replay
from engine.segment import SLOT_BYTES, SLOT_OFFSETS
from tests.engine import streams

HEADER = SegmentHeader(partition=3, epoch=9, first_sequence=100, chain=5, events_hash=6, events=700, created_ns=8)


def marked(*watermarks: Watermark) -> bytearray:
    header = bytearray(HEADER.encode())
    for watermark in watermarks:
        header[watermark.offset : watermark.offset + SLOT_BYTES] = watermark.encode(HEADER.epoch)
    return header


def test_header_comes_back_as_it_went() -> None:
    assert len(HEADER.encode()) == 4096
    assert SegmentHeader.decode(HEADER.encode()) == HEADER


def test_every_flipped_bit_of_a_header_is_found() -> None:
    encoded = bytearray(HEADER.encode())
    for bit in range(72 * 8):
        encoded[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(JournalError, match="segment header"):
            SegmentHeader.decode(encoded)
        encoded[bit >> 3] ^= 1 << (bit & 7)


def test_header_says_what_it_is_not() -> None:
    for bad, message in ((b"", "0 bytes where 4096"), (bytes(4096), "no journal segment"), (b"x" * 4095, "4095 bytes")):
        with pytest.raises(JournalError, match=message):
            SegmentHeader.decode(bad)


def test_newest_whole_watermark_counts() -> None:
    older, newer = Watermark(6, 150, 1), Watermark(7, 160, 2)
    assert read_watermark(HEADER.encode(), HEADER.epoch) is None
    assert read_watermark(marked(older), HEADER.epoch) == older
    assert read_watermark(marked(older, newer), HEADER.epoch) == newer
    assert read_watermark(marked(Watermark(8, 170, 3), newer), HEADER.epoch) == Watermark(8, 170, 3)


def test_a_torn_watermark_leaves_the_other() -> None:
    older, newer = Watermark(6, 150, 1), Watermark(7, 160, 2)
    for bit in range(SLOT_BYTES * 8):
        header = marked(older, newer)
        header[newer.offset + (bit >> 3)] ^= 1 << (bit & 7)
        assert read_watermark(header, HEADER.epoch) == older


def test_two_damaged_watermarks_are_damage() -> None:
    header = marked(Watermark(6, 150, 1), Watermark(7, 160, 2))
    for offset in SLOT_OFFSETS:
        header[offset + 20] ^= 1
    with pytest.raises(JournalError, match="both watermarks of epoch 9 are damaged"):
        read_watermark(header, HEADER.epoch)
    with pytest.raises(JournalError, match="both watermarks"):
        read_watermark(marked(Watermark(6, 150, 1), Watermark(7, 160, 2)), HEADER.epoch + 1)


# ---- replay by groups


def grouped(implementation: str, count: int = 400) -> tuple[bytes, bytes]:
    """Records in groups of nine with true events hashes, and the events they gave."""
    from engine.journal import hash_events

    regime = streams.REGIMES["narrow"]
    first = engine.create(implementation, max_live_orders=4096, client_ids_max=4096)  # type: ignore[arg-type]
    encoder = Encoder(1, 0, CHAIN_START)
    stream = list(streams.commands(regime, 5))[:count]
    running, written, events = CHAIN_START, [], []
    for start in range(0, count, 9):
        packed = b"".join(c if isinstance(c, bytes) else c.pack() for c in stream[start : start + 9])
        events.append(first.apply(encoder.extend(packed, start, running)))
        written.append(encoder.take())
        running = hash_events(running, events[-1])
    return b"".join(written), b"".join(events)


def test_replay_gives_the_events_that_the_journal_remembers(implementation: str) -> None:
    records, events = grouped(implementation)
    again = engine.create(implementation, max_live_orders=4096, client_ids_max=4096)  # type: ignore[arg-type]
    assert b"".join(piece for piece, _ in replay(again, records, CHAIN_START)) == events
    assert [group.end - group.start for group in groups(records)][:-1] == [9 * RECORD_BYTES] * (400 // 9)


def test_replay_stops_at_the_first_group_that_differs(implementation: str) -> None:
    records, _ = grouped(implementation)
    # Other limits are other rules: an order is refused here that was not there.
    again = engine.create(implementation, max_live_orders=3, client_ids_max=4096)  # type: ignore[arg-type]
    with pytest.raises(JournalError, match="replay differs: the events up to sequence"):
        list(replay(again, records, CHAIN_START))
    assert 0 < again.sequence < 400
    assert again.sequence % 9 == 0
