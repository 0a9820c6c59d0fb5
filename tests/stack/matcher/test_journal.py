"""What a start makes of the files it finds: whole, torn, damaged."""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import shutil
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from engine.journal import HEADER_BYTES, SegmentHeader, Watermark
from engine.records import RECORD_BYTES, Side
from stack.matcher import segment_read
from stack.matcher.journal_files import prepare_segment
from stack.matcher.journal_read import Damage, Stretch, read_journal
from stack.matcher.limits_file import NAME, Limits, hold_limits, read_limits
from stack.matcher.partition import Partition
from stack.matcher.progress import ReplayProgress
from stack.matcher.refusal import EXIT_DAMAGED, StartRefused
from stack.matcher.start import _forget_cached
from stack.matcher.verify import Verification
from stack.settings import EngineSettings
from stack.wire.frames import Outcome
from tests.stack.matcher.engines import new, submit, with_partition

ORDERS = 30
DEFINITIONS = 4


def record_offset(sequence: int) -> int:
    return HEADER_BYTES + (sequence - 1) * RECORD_BYTES


@pytest.fixture(autouse=True, params=[5, segment_read.PIECE_RECORDS], ids=["small pieces", "pieces"])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is read in one piece, the verdicts are the same."""
    monkeypatch.setattr(segment_read, "PIECE_RECORDS", request.param)


@pytest.fixture
def written(settings: EngineSettings) -> EngineSettings:
    """A journal of 34 commands in one segment, closed in good order."""

    async def fill(partition: Partition) -> None:
        for number in range(ORDERS):
            await submit(partition, new(f"a{number}", Side(1 + number % 2), price=10_000 + number % 3))

    with_partition(settings, fill)
    return settings


def segment(settings: EngineSettings, number: int = 1) -> Path:
    return Path(settings.data_dir) / "journal" / f"{number:08d}.journal"


def change(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def sequence_after_start(settings: EngineSettings) -> int:
    async def look(partition: Partition) -> int:
        partition.engine.check_invariants()
        found = partition.engine.sequence
        assert (await submit(partition, new(f"after-{found}")))[0] == Outcome.DONE
        return found

    return int(with_partition(settings, look))


def problems(settings: EngineSettings) -> list[str]:
    verification = Verification(Path(settings.data_dir))
    verification.run()
    return list(verification.report["problems"])


def unmark(settings: EngineSettings) -> None:
    """Take the watermarks away: what a journal looks like before the first one was written."""
    change(segment(settings), 512, bytes(1024))


@pytest.mark.parametrize("cut", [1, 4, 8, 47, 60, 97])
def test_a_torn_last_record_above_the_watermark_is_cut_off_and_its_place_used_again(
    written: EngineSettings, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    unmark(written)
    shutil.rmtree(Path(written.data_dir) / "events")  # a write that never finished was not logged either
    last = ORDERS + DEFINITIONS
    change(segment(written), record_offset(last) + cut, bytes(RECORD_BYTES - cut))
    assert sequence_after_start(written) == last - 1
    assert f"offset {record_offset(last)}: torn tail of" in caplog.text
    assert problems(written) == []
    assert sequence_after_start(written) == last


def test_what_was_synced_and_is_gone_is_damage_and_nothing_is_changed(written: EngineSettings) -> None:
    change(segment(written), record_offset(ORDERS + DEFINITIONS), bytes(RECORD_BYTES))
    before = segment(written).read_bytes()
    with pytest.raises(
        StartRefused, match=rf"00000001.journal offset {record_offset(34)}: record 34: missing"
    ) as refused:
        sequence_after_start(written)
    assert refused.value.exit_code == EXIT_DAMAGED
    assert "\n" not in str(refused.value)
    assert segment(written).read_bytes() == before
    assert any("record 34: missing" in problem for problem in problems(written))


@pytest.mark.parametrize("sequence", [1, 2, 17, 34])
@pytest.mark.parametrize("place", [0, 5, 9, 17, 33, 41, 60, 140])
def test_one_flipped_bit_in_a_synced_record_is_damage_with_its_place(
    written: EngineSettings, sequence: int, place: int
) -> None:
    data = segment(written).read_bytes()
    offset = record_offset(sequence) + place
    change(segment(written), offset, bytes([data[offset] ^ 0x10]))
    with pytest.raises(StartRefused, match=rf"offset {record_offset(sequence)}: record {sequence}: "):
        sequence_after_start(written)


def test_an_older_copy_of_the_journal_is_damage_because_the_event_log_knows_more(written: EngineSettings) -> None:
    """Whole in itself: only what was told to readers of events shows that its end is missing."""
    older = segment(written).read_bytes()
    assert sequence_after_start(written) == ORDERS + DEFINITIONS
    segment(written).write_bytes(older)
    assert ["knows command 35" in problem for problem in problems(written)] == [True]
    with pytest.raises(
        StartRefused, match="ends at command 34, and the event log beside it knows command 35"
    ) as refused:
        sequence_after_start(written)
    assert refused.value.exit_code == EXIT_DAMAGED
    assert segment(written).read_bytes() == older
    shutil.rmtree(Path(written.data_dir) / "events")
    assert sequence_after_start(written) == ORDERS + DEFINITIONS


def test_damage_in_the_middle_is_found_without_a_watermark_too(written: EngineSettings) -> None:
    unmark(written)
    change(segment(written), record_offset(10), b"\xff" * RECORD_BYTES)
    with pytest.raises(StartRefused, match="record 10: "):
        sequence_after_start(written)


def test_a_damaged_header_is_damage(written: EngineSettings) -> None:
    change(segment(written), 20, b"\xff")
    with pytest.raises(StartRefused, match="offset 0: segment header: damaged"):
        sequence_after_start(written)


def test_both_watermarks_spoilt_is_damage_and_one_is_not(written: EngineSettings) -> None:
    change(segment(written), 520, b"\xff")
    assert sequence_after_start(written) == ORDERS + DEFINITIONS
    change(segment(written), 520, b"\xff")
    change(segment(written), 1032, b"\xff")
    with pytest.raises(StartRefused, match="both watermarks"):
        sequence_after_start(written)


@pytest.fixture
def segments(settings: EngineSettings) -> EngineSettings:
    """A journal of several segments of 20 records each."""
    small = replace(settings, segment_bytes=4096 + 20 * 144)

    async def fill(partition: Partition) -> None:
        await asyncio.gather(*(submit(partition, new(f"a{number}", price=1 + number)) for number in range(90)))

    with_partition(small, fill)
    return small


def test_a_missing_segment_is_damage(segments: EngineSettings) -> None:
    segment(segments, 3).unlink()
    with pytest.raises(StartRefused, match="segment 00000003 is missing"):
        sequence_after_start(segments)


def test_a_swapped_segment_is_damage(segments: EngineSettings) -> None:
    one, two = segment(segments, 2).read_bytes(), segment(segments, 3).read_bytes()
    segment(segments, 2).write_bytes(two)
    segment(segments, 3).write_bytes(one)
    with pytest.raises(StartRefused, match=r"00000002.journal offset"):
        sequence_after_start(segments)


def test_a_segment_of_another_journal_is_damage(segments: EngineSettings, tmp_path: Path) -> None:
    other = replace(segments, data_dir=str(tmp_path / "other"))

    async def fill(partition: Partition) -> None:
        await asyncio.gather(*(submit(partition, new(f"b{number}", price=1 + number)) for number in range(90)))

    with_partition(other, fill)
    segment(segments, 3).write_bytes(segment(other, 3).read_bytes())
    with pytest.raises(StartRefused, match=r"00000003.journal offset \d+: .*chain"):
        sequence_after_start(segments)


def test_the_end_of_a_segment_that_has_a_successor_cannot_be_torn(segments: EngineSettings) -> None:
    change(segment(segments, 2), 512, bytes(1024))
    change(segment(segments, 2), record_offset(20) + 9, b"\xff\xff")
    with pytest.raises(StartRefused, match=r"00000002.journal offset"):
        sequence_after_start(segments)


def test_a_kill_between_two_segments_is_repaired(segments: EngineSettings) -> None:
    """A spare whose header was torn, and one whose zeros were never finished."""
    folder = segment(segments).parent
    used = sum(
        any(path.read_bytes()[HEADER_BYTES:]) for path in folder.glob("*.journal")
    )  # the next may stand there, or not yet
    segment(segments, used + 1).write_bytes(b"HFTJRNL\0torn".ljust(segments.segment_bytes, b"\0"))
    (folder / f"{used + 2:08d}.preparing").write_bytes(bytes(100))
    assert sequence_after_start(segments) == 94
    assert not list(folder.glob("*.preparing"))
    assert problems(segments) == []
    for _ in range(8):
        last = sequence_after_start(segments)
    assert last == 94 + 8


def test_a_spare_of_another_size_is_made_anew(segments: EngineSettings) -> None:
    larger = replace(segments, segment_bytes=4096 + 40 * 144)

    async def fill(partition: Partition) -> None:
        await asyncio.gather(*(submit(partition, new(f"b{number}", price=1 + number)) for number in range(90)))

    with_partition(larger, fill)
    assert problems(larger) == []
    assert sequence_after_start(larger) == 184


def test_a_replay_that_differs_names_the_first_group(written: EngineSettings) -> None:
    """The journal is whole, but the engine that wrote it decided differently: played here with other limits."""
    limits = read_limits(Path(written.data_dir))
    assert limits is not None
    (Path(written.data_dir) / NAME).write_bytes(msgspec.json.encode(replace(limits, max_live_orders=1)))
    with pytest.raises(StartRefused, match=r"00000001.journal offset \d+: replay differs") as refused:
        sequence_after_start(replace(written, max_live_orders=1))
    assert refused.value.exit_code == EXIT_DAMAGED


def test_preparing_leaves_a_segment_of_zeros_once(tmp_path: Path) -> None:
    prepare_segment(tmp_path, 3, 10_000)
    path = tmp_path / "00000003.journal"
    assert path.read_bytes() == bytes(10_000)
    change(path, 100, b"x")
    prepare_segment(tmp_path, 3, 10_000)
    assert path.read_bytes()[100:101] == b"x"


def test_records_with_no_zeros_after_them_are_read(segments: EngineSettings) -> None:
    found = [item for item in read_journal(segment(segments).parent, 0) if isinstance(item, Stretch)]
    assert [item.sequence for item in found if item.last] == [20, 40, 60, 80, 94]
    with pytest.raises(Damage, match="partition 0 in the header, 5 was due"):
        list(read_journal(segment(segments).parent, 5))


def test_a_long_replay_says_how_far_it_is(segments: EngineSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(segments.data_dir) / "replaying.json"
    heard = []

    class Heard(ReplayProgress):
        def reached(self, sequence: int) -> None:
            super().reached(sequence)
            heard.append(json.loads(path.read_bytes()))

    monkeypatch.setattr("stack.matcher.progress.EVERY_S", 0.0)
    monkeypatch.setattr("stack.matcher.start.ReplayProgress", Heard)
    assert sequence_after_start(segments) == 94
    assert [said["replayed"] for said in heard] == sorted({said["replayed"] for said in heard})
    assert heard[-1] == {"pid": os.getpid(), "replayed": 94, "of": 94}
    assert not path.exists()


def test_verify_finds_a_false_event_and_a_false_index(written: EngineSettings) -> None:
    events = Path(written.data_dir) / "events"
    change(events / "00000000.events", 7 * 128 + 3, b"\xff")
    assert any("event 7 is not what the replay gives" in problem for problem in problems(written))
    assert sequence_after_start(written) == 34
    assert problems(written) == []
    change(events / "00000000.index", 6 * 8, bytes(8))
    assert any("order 6 does not end at" in problem for problem in problems(written))


def test_verify_counts_what_a_killed_engine_had_not_logged_yet(written: EngineSettings) -> None:
    change(Path(written.data_dir) / "events" / "00000000.events", 30 * 128, bytes(100 * 128))
    verification = Verification(Path(written.data_dir))
    verification.run()
    assert verification.report["problems"] == []
    assert verification.report["events_not_logged_yet"] == verification.report["events"] - 30
    change(Path(written.data_dir) / "events" / "00000000.events", 10 * 128, bytes(128))
    assert any("event 10 is missing, later ones are there" in problem for problem in problems(written))


def test_what_no_watermark_covers_is_read_from_the_disk(
    segments: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropped from the page cache: the header, and everything from the page on in which the last synced record ends."""
    dropped: dict[str, list[tuple[int, int]]] = {}

    def advise(fd: int, offset: int, length: int, advice: int) -> None:
        if advice == os.POSIX_FADV_DONTNEED:
            name = Path(f"/proc/self/fd/{fd}").resolve().name
            dropped.setdefault(name, []).append((offset, length))

    page = max(HEADER_BYTES, mmap.PAGESIZE)
    newest = segment(segments, 4)
    change(newest, HEADER_BYTES + 20 * RECORD_BYTES, bytes(8 * page))
    change(newest, 512, bytes(1024))
    mark = Watermark(7, 61 + 4 * page // RECORD_BYTES, 9)
    change(newest, mark.offset, mark.encode(SegmentHeader.decode(newest.read_bytes()[:HEADER_BYTES]).epoch))
    segment(segments, 6).write_bytes(bytes(HEADER_BYTES))
    monkeypatch.setattr(os, "posix_fadvise", advise)
    _forget_cached(newest.parent)
    assert dropped == {
        "00000004.journal": [(0, page), ((HEADER_BYTES + 4 * page) // page * page, 0)],
        "00000005.journal": [(0, page), ((HEADER_BYTES + 14 * RECORD_BYTES) // page * page, 0)],
        "00000006.journal": [(0, page), (0, 0)],
    }


def test_the_name_of_the_limits_is_durable_before_anything_is_written_under_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[Path, bool]] = []
    monkeypatch.setattr(
        "stack.matcher.limits_file.sync_directory", lambda folder: synced.append((folder, (folder / NAME).exists()))
    )
    for _ in range(2):
        hold_limits(tmp_path, Limits(5, "paper", 0, 7))
    assert synced == [(tmp_path, True)], "once, after its renaming"
