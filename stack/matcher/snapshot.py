"""python -m stack.matcher.snapshot --config FILE --until SEQUENCE: take a snapshot of a partition that goes on working.

Started by the engine, and it shares nothing with it: it begins from the newest snapshot, replays what the journal has
since then up to a command that is durable and logged, compares every event with the journal's hashes and with the event
log, and writes down what it has come to. So no order waits for it, and whoever starts from the result starts from what
was replayed, not from a copy of memory that may have gone wrong. Says what it did on standard output, one JSON document.

With --read-back the file is loaded into a fresh engine afterwards, and `state_hash` says what it comes to.

Exit code 0: taken, or there was one already. 1: it could not be; standard error says why, and older snapshots stand.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

import engine
from engine.journal import HEADER_BYTES, JournalError, SegmentHeader, scan
from engine.records import RECORD_BYTES, RECORD_HEADER
from stack.matcher.ahead import ahead
from stack.matcher.event_log import EventLog
from stack.matcher.journal_files import Point, segment_path
from stack.matcher.journal_read import Damage, Stretch, check_follows
from stack.matcher.recovery import apply_stretch, point_after
from stack.matcher.restore import begin
from stack.matcher.snapshot_file import (
    NAME,
    SUFFIX,
    UNFINISHED,
    Unusable,
    describe,
    load_snapshot,
    write_snapshot,
)
from stack.settings import EngineSettings, load

if TYPE_CHECKING:
    from engine.matching import Engine

_PR_SET_PDEATHSIG = 1


class NotTaken(Exception):
    """One sentence that says why."""


def take(settings: EngineSettings, until: int, *, read_back: bool = False) -> dict[str, Any]:
    """Raises NotTaken, Damage and OSError."""
    taken = _take(settings, until)
    if read_back:
        path = Path(settings.data_dir) / NAME / f"{taken['sequence']:020d}{SUFFIX}"
        try:
            described = describe(path)
            load_snapshot(path, described, _engine(settings))
        except Unusable as error:
            raise NotTaken(f"{path}, read back: {error}") from None
        taken |= {"bytes": described.bytes, "state_hash": described.state_hash}
    return taken


def _take(settings: EngineSettings, until: int) -> dict[str, Any]:
    started_s = time.monotonic()
    data_dir = Path(settings.data_dir)
    directory = data_dir / NAME
    directory.mkdir(mode=0o700, exist_ok=True)
    with (directory / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotTaken(f"another snapshot is being taken in {directory}") from None
        for unfinished in directory.glob(f"*{UNFINISHED}"):
            unfinished.unlink()
        begun = begin(data_dir, settings.partition, lambda: _engine(settings), max_live_orders=settings.max_live_orders)
        book, point = begun.book, begun.point
        taken = {"sequence": point.sequence, "replayed": max(until - point.sequence, 0), "skipped": begun.skipped}
        if point.sequence >= until:
            return taken | {"took_s": 0.0}
        log = EventLog(data_dir / "events", only_compares=True)
        log.writer.restart_at(point.events)
        journal = ahead(durable_segments(data_dir / "journal", settings.partition, point, until))
        with closing(log), closing(journal):
            for stretch in journal:
                for events_hash, differed in apply_stretch(book, log, stretch, point.events_hash):
                    if differed:
                        raise NotTaken(
                            f"the event log has {differed} events up to command {book.sequence} otherwise than the replay; "
                            f"look with: python -m stack.matcher.verify --data {data_dir}"
                        )
                    point = point._replace(events_hash=events_hash)
                point = point_after(stretch, point, book.events)
        book.check_invariants()
        described = write_snapshot(
            data_dir,
            cast("Engine", book),
            point,
            partition=settings.partition,
            max_live_orders=settings.max_live_orders,
        )
    return taken | {
        "sequence": point.sequence,
        "path": str(directory / f"{point.sequence:020d}{SUFFIX}"),
        "bytes": described.bytes,
        "live_orders": described.live_orders,
        "took_s": round(time.monotonic() - started_s, 3),
    }


def durable_segments(directory: Path, partition: int, since: Point, until: int) -> Generator[Stretch, None, None]:
    """The records behind `since` up to the command `until`, all of which are on disk; what may stand behind them is being
    written, and is not looked at. Raises NotTaken, Damage and OSError."""
    number, offset, sequence, chain, epoch = since.segment, since.offset, since.sequence, since.chain, since.epoch
    while sequence < until:
        path = segment_path(directory, number)
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                header = SegmentHeader.decode(file.read(HEADER_BYTES))
            except JournalError as error:
                raise NotTaken(f"{path}: {error}, and command {until} was to be read") from None
            if offset == HEADER_BYTES:
                if number == 1:
                    chain = header.chain
                check_follows(path, header, partition, sequence, chain, epoch)
            data = bytearray(min((size - offset) // RECORD_BYTES, until - sequence) * RECORD_BYTES)
            file.seek(offset)
            read = file.readinto(data)
        if read != len(data):
            raise NotTaken(f"{path}: read {read} of {len(data)} bytes from {offset} on")
        found = scan(data, header.epoch, sequence, chain, 0)
        records = memoryview(data)[: found.end_offset]
        end = offset + found.end_offset
        time_ns = RECORD_HEADER.unpack_from(records, len(records) - RECORD_BYTES)[7] if records else 0
        yield Stretch(number, path, header, records, offset, end, found.sequence, found.chain, 0, 0, time_ns, True, "")
        number, offset, sequence, chain, epoch = number + 1, HEADER_BYTES, found.sequence, found.chain, header.epoch


def _engine(settings: EngineSettings) -> Any:
    return engine.create(
        "cython",
        max_live_orders=settings.max_live_orders,
        client_ids_max=settings.client_ids_max,
        faulted_in=False,
    )


def _end_with(parent: int) -> None:
    """Where the engine dies, so does this, at once; and no order ever waits for our share of a CPU."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise NotTaken("the engine that asked for it is gone")
    os.nice(19)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stack.matcher.snapshot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the engine's settings, JSON")
    parser.add_argument("--until", required=True, type=int, metavar="SEQUENCE", help="the last command to be in it")
    parser.add_argument("--parent", type=int, metavar="PID", help="end when this process, which started us, does")
    parser.add_argument("--read-back", action="store_true", help="load the file again, and say what it comes to")
    arguments = parser.parse_args()
    try:
        if arguments.parent is not None:
            _end_with(arguments.parent)
        settings = load(arguments.config, EngineSettings)
        print(msgspec.json.encode(take(settings, arguments.until, read_back=arguments.read_back)).decode())
    except (NotTaken, Damage, OSError, RuntimeError, MemoryError, msgspec.DecodeError) as error:
        print(f"snapshot: not taken: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
