"""Both writers of the event log: the same files, counters and answers; nothing lost at the edges between files."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from engine.records import EVENT_BYTES, Event, EventKind, Reason
from stack.matcher import event_files, event_log
from stack.matcher.event_log import EventLog
from stack.matcher.event_read import EventReader

WRITERS = ["auto", "python"] if event_log.Writer.__module__.endswith("cython") else ["python"]


@pytest.fixture(params=WRITERS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events", implementation=request.param)


def stream(events: int, seed: int = 1, first: int = 0, orders_from: int = 1) -> bytes:
    """Events as an engine gives them: chains of orders, refusals, and now and then one of no order."""
    draw = random.Random(seed)
    last: dict[int, int] = {}
    encoded = []
    for ordinal in range(first, first + events):
        kind = draw.choice([EventKind.ACCEPTED, EventKind.ACCEPTED, EventKind.FILL, EventKind.REFUSED])
        order = reason = 0
        if draw.random() < 0.01:
            kind = EventKind.HALTED
        elif kind == EventKind.REFUSED:
            order, reason = draw.randrange(1 << 40), draw.choice([Reason.HALTED, Reason.BOOK_FULL])
        elif kind == EventKind.ACCEPTED or not last:
            kind, order = EventKind.ACCEPTED, orders_from + len(last)
        else:
            order = draw.choice(list(last)[-50:])
        previous = last.get(order, 0) if kind == EventKind.FILL else 0
        if kind in (EventKind.ACCEPTED, EventKind.FILL):
            last[order] = ordinal + 1
        index = 1 if kind == EventKind.FILL else 0
        encoded.append(
            Event(ordinal + 7, order, 9, previous, 1, 2, 3, 4, 5, 6, index, kind, reason=reason, text=b"t").pack()
        )
    return b"".join(encoded)


def begun_at(log: EventLog, ordinal: int) -> None:
    log.begin_rebuild()
    log.writer.restart_at(ordinal)


def files(log: EventLog) -> dict[str, bytes]:
    """Those with something in them: the next ones are made ahead, unless the log was closed before."""
    contents = {path.name: path.read_bytes() for path in log.directory.iterdir()}
    return {name: content for name, content in contents.items() if content.count(0) != len(content)}


def wait_for_files_made_ahead(log: EventLog) -> None:
    log._files.in_background().submit(int).result()


@pytest.mark.skipif(len(WRITERS) == 1, reason="nothing is compiled")
def test_both_writers_make_the_same_files_and_count_the_same(tmp_path: Path) -> None:
    edge = event_files.EVENTS_PER_FILE
    seen = []
    for name in WRITERS:
        log = EventLog(tmp_path / name, implementation=name)  # type: ignore[arg-type]
        begun_at(log, edge - 3000)
        data = stream(6000, first=edge - 3000, orders_from=event_files.SEQUENCES_PER_FILE - 500)
        draw, at, told = random.Random(5), 0, []
        while at < len(data):
            count = draw.choice([1, 1, 2, 40, 700, 2500]) * EVENT_BYTES
            told.append(log.append(data[at : at + count]))
            at += count
        chains = [log.chain(order) for order in range(event_files.SEQUENCES_PER_FILE - 500, log.end)]
        chains += [log.chain_before(end, limit) for limit in (1, 3) for end in range(edge - 500, edge + 500)]
        assert log.peek(edge - 3000, 6000) == data
        log.close()
        seen.append((told, chains, files(log), log.writer.fills, log.writer.refusals()))
    assert seen[0][:2] == seen[1][:2]
    assert seen[0] == seen[1]
    assert sorted(seen[0][2]) == [f"{n:08d}{suffix}" for n in range(2) for suffix in (".events", ".index")]


def test_a_replay_writes_only_what_differs(log: EventLog) -> None:
    edge = event_files.EVENTS_PER_FILE
    begun_at(log, edge - 5000)
    data = stream(9000, first=edge - 5000)
    log.append(data)
    log.close()
    whole = files(log)
    path = log.directory / "00000000.events"
    damaged = bytearray(path.read_bytes())
    for ordinal in (edge - 5000, edge - 4321, edge - 1):
        damaged[ordinal * EVENT_BYTES + 3] ^= 4
    path.write_bytes(damaged)
    (log.directory / "00000001.events").unlink()
    begun_at(log, edge - 5000)
    differing = sum(
        log.writer.adopt(data[at : at + 7000 * EVENT_BYTES]) for at in range(0, len(data), 7000 * EVENT_BYTES)
    )
    assert differing == 3 + 4000
    log.close()
    assert files(log) == whole


def test_what_stands_behind_the_end_is_cut_off(log: EventLog) -> None:
    data = stream(300)
    log.append(data)
    log.begin_rebuild()
    log.writer.adopt(data[: 200 * EVENT_BYTES])
    assert log.finish_rebuild() == 100
    assert log.peek(0, 201) == data[: 200 * EVENT_BYTES] + bytes(EVENT_BYTES)


def test_a_read_ends_with_a_whole_command(log: EventLog) -> None:
    begin = Event(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, EventKind.ACCEPTED)
    log.append(b"".join(begin._replace(index=index).pack() for index in (0, 1, 2, 0, 1, 0)))
    assert [len(log.read(first, count)) // EVENT_BYTES for first, count in ((0, 1), (0, 4), (0, 5), (3, 9), (6, 1))] == [
        3, 3, 5, 3, 0,
    ]  # fmt: skip


def test_a_reader_follows_a_log_that_grows(log: EventLog) -> None:
    reader = EventReader(log.directory)
    assert reader.last_of(1) == 0 and reader.chain(1) == b"" and reader.peek(0, 5) == b""
    data = stream(50)
    log.append(data[: 10 * EVENT_BYTES])
    assert reader.peek(0, 10) == data[: 10 * EVENT_BYTES]
    log.append(data[10 * EVENT_BYTES :])
    assert reader.peek(0, 50) == data
    assert reader.chain(2) == log.chain(2) != b""
    reader.close()
    assert reader.last_of(1 << 40) == 0


def test_the_next_files_are_made_before_they_are_needed(log: EventLog) -> None:
    log.append(stream(1))
    wait_for_files_made_ahead(log)
    assert sorted(path.name for path in log.directory.iterdir()) == [
        "00000000.events", "00000000.index", "00000001.events", "00000001.index",
    ]  # fmt: skip
    index = log.directory / "00000001.index"
    assert index.stat().st_blocks * 512 >= event_files.INDEX_FILE_BYTES  # no hole: a full disk is found when it is made


def test_a_log_that_was_closed_goes_on(log: EventLog) -> None:
    data = stream(20)
    log.append(data[: 10 * EVENT_BYTES])
    log.close()
    log.append(data[10 * EVENT_BYTES :])
    assert log.peek(0, 20) == data
    assert log.end == 20


FULL = """
import resource, sys
from pathlib import Path
from stack.matcher.event_log import EventLog
from tests.stack.matcher.test_event_log import stream, wait_for_files_made_ahead
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = EventLog(Path(sys.argv[1]), implementation=sys.argv[2])
log.append(stream(10))
wait_for_files_made_ahead(log)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000 * 128 + 50, resource.RLIM_INFINITY))
try:
    for _ in range(400):
        log.append(stream(10, first=log.end))
except OSError as error:
    assert error.filename and error.filename.endswith(".events") or "00000000.events" in str(error), error
    assert log.end == 3000, log.end
    print("refused at", log.end)
"""


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_cannot_take_more_is_an_error_that_names_it(tmp_path: Path, writer: str) -> None:
    """The limit on a file's size stands for a full disk: pwrite is cut short, then fails."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "events"), writer],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[3], env={**os.environ},
    )  # fmt: skip
    assert done.stdout == "refused at 3000\n", done.stderr


@pytest.mark.parametrize("filled", [False, True], ids=["holes", "zeros"])
def test_the_end_of_what_was_written_is_found(tmp_path: Path, filled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_files, "_LOOKED_AT_BYTES", 4096)
    path, size = tmp_path / "one.events", 300_000
    for places in ([], [0], [5000, 6000], [0, 70_000], [4095], [4096, 200_000], [size - 1]):
        path.unlink(missing_ok=True)
        with path.open("wb") as file:
            file.write(bytes(size if filled else 0))
            file.truncate(size)
            for place in places:
                file.seek(place)
                file.write(b"x")
        for offset in (0, 1, 4000, 4096, 5500, 100_000, size):
            due = max([place + 1 for place in places if place >= offset], default=offset)
            assert event_files.end_of_data(path, offset) == due


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 14])
def test_what_is_read_ahead_is_compared_like_what_stands(
    log: EventLog, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_files, "READ_EVENTS", piece)
    edge, count = event_files.EVENTS_PER_FILE, 3000
    begun_at(log, edge - 1000)
    data = stream(count, first=edge - 1000)
    log.append(data[: (count - 500) * EVENT_BYTES])
    log.close()
    spoilt = [edge - 900, edge - 1, edge, edge + 1234]
    for ordinal in spoilt:
        number, place = divmod(ordinal, edge)
        with (log.directory / f"{number:08d}.events").open("r+b") as file:
            file.seek(place * EVENT_BYTES + 100)
            file.write(b"\xff")
    begun_at(log, edge - 1000)
    draw, at, differing = random.Random(piece), 0, 0
    while at < len(data):
        taken = draw.choice([1, 3, 90, 800]) * EVENT_BYTES
        differing += log.writer.adopt(data[at : at + taken])
        at += taken
    assert differing == len(spoilt) + 500
    assert log.peek(edge - 1000, count) == data
    more = stream(10, seed=2, first=edge - 1000 + count)
    log.append(more)
    assert log.peek(edge - 1000, count + 10) == data + more


def test_a_disk_that_cannot_be_read_is_an_error_and_no_difference(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_at(log, 0)
    data = stream(10)
    log.append(data)
    log.close()
    path = log.directory / "00000000.events"
    path.rename(log.directory / "aside")
    path.mkdir()
    begun_at(log, 0)
    with pytest.raises(OSError):
        log.writer.adopt(data)
