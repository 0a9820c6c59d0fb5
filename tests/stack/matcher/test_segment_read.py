"""Reading a segment in stretches: whole groups, the same records and verdicts whatever the size of a piece."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.journal import CHAIN_START, HEADER_BYTES, Encoder, SegmentHeader, Watermark, scan
from engine.records import FIRST_OF_GROUP, RECORD_BYTES, RECORD_HEADER, Command, CommandKind
from stack.matcher import segment_read
from stack.matcher.segment_read import Buffers, Damage, Spare, Stretch, read_segment

GROUPS = [1, 3, 1, 12, 2, 5, 1, 30, 4, 4, 2]
COUNT = sum(GROUPS)


def records() -> bytes:
    encoder, made = Encoder(3, 0, CHAIN_START), 0
    for number, size in enumerate(GROUPS):
        encoder.synced = made
        encoder.extend(Command(CommandKind.CANCEL, account=1, target=1).pack() * size, 50 + number, number)
        made += size
    return encoder.take()


def segment(path: Path, body: bytes, *, room: int, marked: int = 0) -> Path:
    header = bytearray(SegmentHeader(0, 3, 1, CHAIN_START, CHAIN_START, 0, 9).encode().ljust(HEADER_BYTES, b"\0"))
    if marked:
        mark = Watermark(1, marked, scan(body[: marked * RECORD_BYTES], 3, 0, CHAIN_START, 0).chain)
        encoded = mark.encode(3)
        header[mark.offset : mark.offset + len(encoded)] = encoded
    path.write_bytes(bytes(header) + body + bytes(room))
    return path


def stretches(path: Path) -> list[tuple[Stretch, bytes]]:
    """Each with its records as they stood while it was the newest but one, which is when `ahead` has it used."""
    found: list[tuple[Stretch, bytes]] = []
    before: Stretch | None = None
    for item in read_segment(path, 1, 0, CHAIN_START, HEADER_BYTES, Buffers()):
        assert isinstance(item, Stretch)
        if before is not None:
            found.append((before, bytes(before.records)))
        before = item
    assert before is not None
    return [*found, (before, bytes(before.records))]


@pytest.fixture(params=[1, 2, 7, 1 << 14])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(segment_read, "PIECE_RECORDS", request.param)
    yield request.param


@pytest.mark.parametrize("room", [0, 100, RECORD_BYTES, 1 << 20])
def test_stretches_are_whole_groups_and_all_there_is(piece: int, room: int, tmp_path: Path) -> None:
    body = records()
    found = stretches(segment(tmp_path / "one", body, room=room, marked=COUNT))
    assert b"".join(held for _, held in found) == body
    assert [item.last for item, _ in found] == [False] * (len(found) - 1) + [True]
    offset = HEADER_BYTES
    for item, held in found:
        assert (item.begin_offset, item.end_offset) == (offset, offset + len(held))
        assert (item.watermark_sequence, item.torn) == (COUNT, "")
        offset = item.end_offset
        if held:
            assert RECORD_HEADER.unpack_from(held, 0)[3] & FIRST_OF_GROUP
            assert RECORD_HEADER.unpack_from(held, len(held) - RECORD_BYTES)[6] == item.sequence
    if piece < COUNT:
        assert len(found) > 1


def test_a_torn_end_is_told_with_the_last_stretch(piece: int, tmp_path: Path) -> None:
    body = bytearray(records())
    body[-2 * RECORD_BYTES + 20] ^= 1  # the first of the last group
    found = stretches(segment(tmp_path / "one", bytes(body), room=5000, marked=COUNT - 2))
    last, _ = found[-1]
    assert last.sequence == COUNT - 2
    assert "1 whole records of the same write follow" in last.torn
    assert not any(item.torn for item, _ in found[:-1])


@pytest.mark.parametrize("marked", [COUNT, COUNT + 1])
def test_what_was_synced_and_is_not_there_is_damage_with_its_place(piece: int, marked: int, tmp_path: Path) -> None:
    body = records()[: -RECORD_BYTES if marked == COUNT else None]
    path = segment(tmp_path / "one", body, room=5000, marked=marked)
    with pytest.raises(Damage, match=rf"offset {HEADER_BYTES + len(body)}: record {marked}: missing"):
        stretches(path)


def test_what_stands_far_behind_the_end_is_found(piece: int, tmp_path: Path) -> None:
    path = segment(tmp_path / "one", records() + bytes(300_000) + b"\1", room=50_000, marked=COUNT)
    last, _ = stretches(path)[-1]
    assert last.torn  # above the watermark
    assert last.sequence == COUNT


def test_what_a_running_engine_writes_meanwhile_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = records()
    half = sum(GROUPS[:5]) * RECORD_BYTES
    path = segment(tmp_path / "one", body[:half], room=len(body) - half + 5000)
    judge, written = segment_read._only_zeros, []

    def write_then_judge(*given: object) -> bool:
        if not written:
            written.append(path.write_bytes(path.read_bytes()[:HEADER_BYTES] + body + bytes(5000)))
        return judge(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(segment_read, "_only_zeros", write_then_judge)
    assert b"".join(held for _, held in stretches(path)) == body


def test_a_segment_of_zeros_is_a_spare_and_one_byte_makes_it_damage(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(bytes(HEADER_BYTES + 700_000))
    assert list(read_segment(path, 4, 0, CHAIN_START, HEADER_BYTES, Buffers())) == [Spare(4, path, False)]
    path.write_bytes(bytes(HEADER_BYTES + 699_999) + b"\1")
    with pytest.raises(Damage):
        list(read_segment(path, 4, 0, CHAIN_START, HEADER_BYTES, Buffers()))


def test_memory_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_read, "PIECE_RECORDS", 40)
    buffers = Buffers()
    path = segment(tmp_path / "one", records(), room=5000)
    first = [id(item.records.obj) for item in read_segment(path, 1, 0, CHAIN_START, HEADER_BYTES, buffers)]  # type: ignore[union-attr]
    again = [id(item.records.obj) for item in read_segment(path, 1, 0, CHAIN_START, HEADER_BYTES, buffers)]  # type: ignore[union-attr]
    assert len(set(first + again)) == 2
