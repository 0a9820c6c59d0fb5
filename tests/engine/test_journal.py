"""The codecs: the same bytes from both, and the right verdict on everything that can happen to a journal."""

from __future__ import annotations

import random
from types import ModuleType

import pytest

from engine import journal_python
from engine.records import COMMAND_BYTES, FIRST_OF_GROUP, RECORD_BYTES, RECORD_HEADER, Command, CommandKind
from engine.scan import CHAIN_START, Scan, Verdict

CODECS: dict[str, ModuleType] = {"python": journal_python}
try:
    from engine import journal_cython

    CODECS["cython"] = journal_cython
except ImportError:
    pass

EPOCH = 7
COUNT = 12


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> ModuleType:
    return CODECS[request.param]


def command(number: int) -> bytes:
    return Command(CommandKind.NEW, 1, 1, 1, 0, 1, 1, 100 + number, number, text=b"order-%d" % number).pack(number)


def journal(codec: ModuleType, count: int = COUNT, epoch: int = EPOCH) -> bytes:
    """Groups of three, each synced before the next is made."""
    encoder = codec.Encoder(epoch, 0, CHAIN_START)
    for number in range(count):
        if number % 3 == 0:
            encoder.synced = number
        encoder.append(command(number), 1_000 + number, number * 11 if number % 3 == 0 else None)
    return encoder.take()


def scanned(data: bytes | bytearray, watermark: int = 0, sequence: int = 0, chain: int = CHAIN_START) -> Scan:
    """Both codecs' answer, which must be one."""
    answers = [codec.scan(data, EPOCH, sequence, chain, watermark) for codec in CODECS.values()]
    assert all(answer == answers[0] for answer in answers), answers
    return answers[0]


def verdict(data: bytes | bytearray, watermark: int = 0) -> tuple[int, Verdict]:
    found = scanned(data, watermark)
    assert found.end_offset == found.records * RECORD_BYTES <= len(data)
    assert (found.detail == "") == (found.verdict == Verdict.CLEAN)
    return found.records, found.verdict


# ---- encoding


def test_crc32c_is_the_castagnoli_checksum(codec: ModuleType) -> None:
    assert codec.crc32c(b"123456789") == 0xE3069283
    assert codec.crc32c(b"") == 0
    assert codec.crc32c(bytes(32)) == 0x8A9136AA


@pytest.mark.skipif("cython" not in CODECS, reason="the compiled codec is not built")
def test_checksum_without_the_cpu_instruction_is_the_same() -> None:
    r = random.Random(1)
    for length in [*range(70), 136, 1000]:
        data = r.randbytes(length)
        assert journal_cython.crc32c_without_cpu(data) == journal_cython.crc32c(data) == journal_python.crc32c(data)


def test_codecs_write_the_same_bytes() -> None:
    written = {journal(codec) for codec in CODECS.values()}
    assert len(written) == 1


def test_record_says_what_it_carries(codec: ModuleType) -> None:
    encoder = codec.Encoder(EPOCH, 41, 99)
    record = encoder.append(command(5), 123, 77)
    length, crc, epoch, flags, chain, events_hash, sequence, time_ns = RECORD_HEADER.unpack_from(record)
    assert (length, epoch, flags, chain, events_hash) == (RECORD_BYTES, EPOCH, FIRST_OF_GROUP, 99, 77)
    assert (sequence, time_ns) == (42, 123)
    assert crc == codec.crc32c(record[8:])
    assert record[48:] == command(5)[:-4] + bytes(4), "the wire's token does not reach the journal"
    assert (encoder.sequence, encoder.chain) == (42, codec.mix(99, crc))


def test_chain_starts_over_at_no_record(codec: ModuleType) -> None:
    data = journal(codec)
    chains = [RECORD_HEADER.unpack_from(data, at)[4] for at in range(0, len(data), RECORD_BYTES)]
    assert chains[0] == CHAIN_START
    assert len(set(chains)) == COUNT


def test_extend_is_many_appends(codec: ModuleType) -> None:
    one, many = codec.Encoder(1, 0, 5), codec.Encoder(1, 0, 5)
    records = [one.append(command(0), 9, 3), one.append(command(1), 9), one.append(command(2), 9)]
    assert many.extend(command(0) + command(1) + command(2), 9, 3) == b"".join(records)
    assert many.take() == one.take() == b"".join(records)
    assert many.take() == b""
    assert (many.sequence, many.chain) == (one.sequence, one.chain)


def test_encoder_refuses_half_commands_and_changes_nothing(codec: ModuleType) -> None:
    encoder = codec.Encoder(1, 0, 5)
    for bad in (b"", command(0)[:-1], command(0) + b"x"):
        with pytest.raises(ValueError, match="bytes are no"):
            encoder.append(bad, 1)
    with pytest.raises(ValueError, match="no whole number of commands"):
        encoder.extend(bytes(COMMAND_BYTES + 1), 1)
    assert (encoder.sequence, encoder.chain, encoder.take()) == (0, 5, b"")


def test_roll_goes_on_in_a_new_epoch(codec: ModuleType) -> None:
    encoder = codec.Encoder(1, 0, CHAIN_START)
    first = encoder.append(command(0), 1)
    with pytest.raises(ValueError, match="1 records of epoch 1 were not taken yet"):
        encoder.roll(2)
    assert encoder.take() == first
    with pytest.raises(ValueError, match="epoch 1 does not follow epoch 1"):
        encoder.roll(1)
    chain = encoder.chain
    encoder.roll(2)
    second = encoder.append(command(1), 2)
    assert codec.scan(second, 2, 1, chain, 0)[:3] == (1, RECORD_BYTES, 2)


def test_events_hash_depends_on_every_group_and_their_order(codec: ModuleType) -> None:
    one, other = codec.hash_events(CHAIN_START, b"a" * 128), codec.hash_events(CHAIN_START, b"b" * 128)
    assert one != other
    assert codec.hash_events(one, b"b" * 128) != codec.hash_events(other, b"a" * 128)
    assert len({c.hash_events(one, b"b" * 128) for c in CODECS.values()}) == 1


# ---- verdicts


def test_zeros_or_the_end_are_a_clean_end(codec: ModuleType) -> None:
    data = journal(codec)
    for end in (b"", bytes(1), bytes(RECORD_BYTES), bytes(100_000)):
        assert verdict(data + end, watermark=COUNT) == (COUNT, Verdict.CLEAN)
    assert verdict(b"") == verdict(bytes(4096)) == (0, Verdict.CLEAN)


def test_every_truncation_of_the_last_three_records_is_a_torn_tail(codec: ModuleType) -> None:
    data = journal(codec)
    for end in range(len(data) - 3 * RECORD_BYTES, len(data)):
        whole = end // RECORD_BYTES
        partial = Verdict.CLEAN if end % RECORD_BYTES == 0 else Verdict.TORN
        assert verdict(data[:end], watermark=COUNT - 3) == (whole, partial)
        zero_filled = data[:end] + bytes(len(data) + 500 - end)
        # A record whose last bytes are zeros anyway is whole without them.
        assert verdict(zero_filled, watermark=COUNT - 3) in ((whole, partial), (whole + 1, Verdict.CLEAN))


def test_every_truncation_below_the_watermark_is_damage(codec: ModuleType) -> None:
    data = journal(codec)
    for end in range(len(data)):
        assert verdict(data[:end], watermark=COUNT) == (end // RECORD_BYTES, Verdict.DAMAGED)


def test_every_flipped_bit_is_found(codec: ModuleType) -> None:
    data = bytearray(journal(codec, 4))
    for bit in range(len(data) * 8):
        data[bit >> 3] ^= 1 << (bit & 7)
        at = bit // 8 // RECORD_BYTES
        last = at == 3
        assert verdict(data) == (at, Verdict.TORN if last else Verdict.DAMAGED), f"bit {bit}"
        if last:
            assert verdict(data, watermark=4) == (at, Verdict.DAMAGED), f"bit {bit}"
        data[bit >> 3] ^= 1 << (bit & 7)


def test_swapped_doubled_and_missing_records_are_damage(codec: ModuleType) -> None:
    data = journal(codec)
    pieces = [data[at : at + RECORD_BYTES] for at in range(0, len(data), RECORD_BYTES)]
    swapped = [*pieces[:4], pieces[5], pieces[4], *pieces[6:]]
    doubled = [*pieces, pieces[-1]]
    missing = [*pieces[:6], *pieces[7:]]
    assert verdict(b"".join(swapped)) == (4, Verdict.DAMAGED)
    assert verdict(b"".join(doubled)) == (COUNT, Verdict.DAMAGED)
    assert verdict(b"".join(missing)) == (6, Verdict.DAMAGED)


def test_a_record_of_another_journal_is_damage(codec: ModuleType) -> None:
    other = codec.Encoder(EPOCH, 0, CHAIN_START)
    for number in range(COUNT):
        other.append(command(number + 50), 5)
    data, foreign = bytearray(journal(codec)), other.take()
    data[5 * RECORD_BYTES : 6 * RECORD_BYTES] = foreign[5 * RECORD_BYTES : 6 * RECORD_BYTES]
    found = scanned(data)
    assert (found.records, found.verdict) == (5, Verdict.DAMAGED)
    assert "chain" in found.detail


def test_bytes_of_another_epoch_never_count(codec: ModuleType) -> None:
    old = journal(codec, epoch=EPOCH - 1)
    data = journal(codec)
    found = scanned(data + old)
    assert (found.records, found.verdict) == (COUNT, Verdict.DAMAGED)
    assert f"of epoch {EPOCH - 1}" in found.detail
    torn_over_old = data[:-50] + old[:50] + old
    assert verdict(torn_over_old, watermark=COUNT - 1) == (COUNT - 1, Verdict.TORN)


def test_hole_in_the_middle_is_damage_and_garbage_at_the_end_is_torn(codec: ModuleType) -> None:
    data = journal(codec)
    hole = bytearray(data)
    hole[6 * RECORD_BYTES : 8 * RECORD_BYTES] = bytes(2 * RECORD_BYTES)
    assert verdict(hole) == (6, Verdict.DAMAGED)
    garbage = random.Random(3).randbytes(3000)
    assert verdict(data + garbage, watermark=COUNT) == (COUNT, Verdict.TORN)


def test_a_write_whose_pages_were_kept_out_of_order_is_torn(codec: ModuleType) -> None:
    """Records 10 to 12 went to the disk in one write that a power cut interrupted: 10 is gone, 11 and 12 are there."""
    hole = bytearray(journal(codec))
    hole[9 * RECORD_BYTES : 10 * RECORD_BYTES] = bytes(RECORD_BYTES)
    found = scanned(hole, watermark=9)
    assert (found.records, found.verdict) == (9, Verdict.TORN)
    assert found.detail.endswith("2 whole records of the same write follow")
    assert verdict(hole, watermark=10) == (9, Verdict.DAMAGED)


def test_a_hole_that_a_later_write_had_seen_synced_is_damage(codec: ModuleType) -> None:
    hole = bytearray(journal(codec))
    hole[8 * RECORD_BYTES : 9 * RECORD_BYTES] = bytes(RECORD_BYTES)
    found = scanned(hole)
    assert (found.records, found.verdict) == (8, Verdict.DAMAGED)
    assert "although record 10 at offset" in found.detail


def test_a_whole_record_in_the_wrong_place_behind_a_hole_is_damage(codec: ModuleType) -> None:
    data = journal(codec)
    moved = data[: 9 * RECORD_BYTES] + bytes(2 * RECORD_BYTES) + data[10 * RECORD_BYTES :]
    assert verdict(moved, watermark=9) == (9, Verdict.DAMAGED)


def test_a_huge_length_field_is_just_a_bad_record(codec: ModuleType) -> None:
    data = bytearray(journal(codec, 2))
    data[RECORD_BYTES : RECORD_BYTES + 4] = (0xFFFFFFFF).to_bytes(4, "little")
    assert verdict(data) == (1, Verdict.TORN)


def test_detail_names_record_offset_and_watermark(codec: ModuleType) -> None:
    data = bytearray(journal(codec))
    data[-1] ^= 1
    offset = (COUNT - 1) * RECORD_BYTES
    found = scanned(data, watermark=COUNT)
    assert found.detail.startswith(f"record {COUNT} at offset {offset}: checksum 0x")
    assert found.detail.endswith(f"although everything up to {COUNT} was synced")


def test_scan_goes_on_where_an_earlier_segment_ended(codec: ModuleType) -> None:
    data = journal(codec)
    half = 5 * RECORD_BYTES
    first = scanned(data[:half])
    second = scanned(data[half:], COUNT, first.sequence, first.chain)
    assert (second.sequence, second.verdict) == (COUNT, Verdict.CLEAN)
    assert second.chain == scanned(data).chain


def test_a_record_of_another_epoch_is_damage_also_where_its_chain_goes_on(codec: ModuleType) -> None:
    encoder = codec.Encoder(EPOCH, 0, CHAIN_START)
    data = encoder.append(command(0), 1) + encoder.append(command(1), 2)
    encoder.take()
    encoder.roll(EPOCH + 1)
    found = scanned(data + encoder.append(command(2), 3))
    assert (found.records, found.verdict) == (2, Verdict.DAMAGED)
    assert found.detail.endswith(f"it is of epoch {EPOCH + 1}, in a segment of epoch {EPOCH}")


def test_the_last_group_of_a_buffer(codec: ModuleType) -> None:
    data = journal(codec)
    offsets = [codec.last_group(data[: count * RECORD_BYTES]) // RECORD_BYTES for count in range(COUNT + 1)]
    assert offsets == [0, 0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9]
    assert codec.last_group(data[RECORD_BYTES : 3 * RECORD_BYTES]) == 0
