"""From a data folder to a partition: lock, read, repair what a torn write left, replay, open for writing.

data_dir/lock       held as long as the process lives
data_dir/journal/   read and replayed; damage refuses the start with exit code 10 and changes nothing
data_dir/events/    compared with the replay and rewritten where it differs
data_dir/snapshots/ the newest one that can be used is begun from, and what lies below it is not read
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from engine.journal import CHAIN_START, HEADER_BYTES, JournalError, SegmentHeader, Watermark, read_watermark
from engine.records import RECORD_BYTES
from stack.matcher.engines import Engines
from stack.matcher.event_log import EventLog
from stack.matcher.journal_files import (
    UNFINISHED,
    JournalFiles,
    Position,
    prepare_segment,
    segment_numbers,
    segment_path,
    sync_ancestors,
    sync_data,
    write_at,
)
from stack.matcher.journal_links import check_links
from stack.matcher.journal_read import BEGINNING, Damage, NewerRules, extent
from stack.matcher.latency import DecisionLatency
from stack.matcher.limits_file import Limits, hold_limits, new_journal, whose_journal
from stack.matcher.partition import Partition
from stack.matcher.progress import ReplayProgress
from stack.matcher.recovery import Recovered, recover
from stack.matcher.refusal import EXIT_DAMAGED, EXIT_LOCKED, StartRefused
from stack.matcher.restore import Begun, begin, known_up_to
from stack.matcher.snapshot_file import NAME as SNAPSHOTS
from stack.matcher.snapshots import Recovery
from stack.settings import EngineSettings
from stack.wire.tables import Tables

logger = logging.getLogger(__name__)

_PAGE_BYTES = max(HEADER_BYTES, mmap.PAGESIZE)
SEGMENT_BYTES_MIN = HEADER_BYTES + 16 * RECORD_BYTES


def lock_data(data_dir: Path) -> BinaryIO:
    """The lock is gone when the returned file is closed, or its process dead. Raises StartRefused."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = (data_dir / "lock").open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read(64).decode("ascii", "replace").strip() or "unknown"
        file.close()
        raise StartRefused(
            f"another engine works on {data_dir} (pid {holder}); two writers would destroy its journal. "
            f"Stop that one first",
            exit_code=EXIT_LOCKED,
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n".encode())
    file.flush()
    return file


def open_partition(settings: EngineSettings, on_failed: Callable[[str], None]) -> Partition:
    """The data folder is locked already. Raises StartRefused and OSError."""
    if settings.segment_bytes < SEGMENT_BYTES_MIN:
        raise StartRefused(f"segment_bytes is {settings.segment_bytes}; at least {SEGMENT_BYTES_MIN} are needed")
    started_s = time.monotonic()
    data_dir = Path(settings.data_dir)
    directory = data_dir / "journal"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = hold_limits(
        data_dir, Limits(settings.max_live_orders, settings.deployment, settings.partition, new_journal())
    )
    for unfinished in directory.glob(f"*{UNFINISHED}"):
        unfinished.unlink()
    for unfinished in (data_dir / SNAPSHOTS).glob(f"*{UNFINISHED}"):
        unfinished.unlink()
    log = EventLog(data_dir / "events")
    _forget_cached(directory)
    progress = ReplayProgress(data_dir, extent(directory))
    engines = Engines(settings)
    try:
        if others := whose_journal(data_dir, held):
            raise Damage(others)
        begun, recovered = _replay(settings, log, progress, engines)
    except (RuntimeError, ValueError) as error:
        raise StartRefused(str(error)) from None
    except NewerRules as newer:
        raise StartRefused(str(newer)) from None
    except Damage as damage:
        raise StartRefused(
            f"{damage}. The engine does not start on a damaged journal; look with: "
            f"python -m stack.matcher.verify --data {settings.data_dir}",
            exit_code=EXIT_DAMAGED,
        ) from None
    finally:
        progress.end()
    book = begun.book
    logged = log.newest_command(book.events, book.sequence)
    newest = max(logged, known_up_to(data_dir, held.journal))
    if newest > book.sequence:
        witness = "the event log" if newest == logged else "a snapshot"
        raise StartRefused(
            f"{directory}: the journal ends at command {book.sequence}, and {witness} beside it knows command {newest}, which "
            f"was durable: the journal's end is gone, or an older copy stands in its place. Put the newer journal back. "
            f"Only where that is lost for good, move {log.directory} and {data_dir / SNAPSHOTS} away: the engine then goes on "
            f"without commands {book.sequence + 1} to {newest}",
            exit_code=EXIT_DAMAGED,
        )
    log.finish_rebuild()
    position = _repair(directory, settings, recovered, held.journal)
    engines.close()
    recovery = Recovery(
        begun.point.sequence,
        book.sequence - begun.point.sequence,
        round(time.monotonic() - started_s, 3),
        begun.skipped,
    )
    logger.info(
        "replayed the journal",
        extra={
            "fields": {
                "sequence": book.sequence,
                "events": book.events,
                "live_orders": book.live,
                "segment": position.number,
                "epoch": position.epoch,
                "implementation": book.implementation,
                **recovery._asdict(),
            }
        },
    )
    partition = Partition(
        settings.partition,
        book,
        JournalFiles(directory, settings.segment_bytes, position),
        log,
        tables=recovered.tables,
        events_hash=recovered.point.events_hash,
        time_ns=recovered.point.time_ns,
        max_unacknowledged=settings.max_unacknowledged,
        client_ids_max=settings.client_ids_max,
        max_orders_per_second=settings.max_orders_per_second,
        latency=DecisionLatency(settings.max_latency_us, settings.latency_sample_rate),
        on_failed=on_failed,
    )
    newest = recovered.newest
    partition.tally.torn_tails = int(newest is not None and bool(newest.torn))
    partition.recovery = recovery
    partition.snapshots.newest = partition.snapshots.verified = begun.point.sequence
    return partition


def _replay(
    settings: EngineSettings, log: EventLog, progress: ReplayProgress, engines: Engines
) -> tuple[Begun, Recovered]:
    """From the newest snapshot that can be used; where that leads to damage, once more from the journal alone, which is
    the truth. Raises Damage, OSError, and RuntimeError or ValueError where there can be no engine."""
    directory = Path(settings.data_dir) / "journal"
    begun = begin(Path(settings.data_dir), settings.partition, engines.make, max_live_orders=settings.max_live_orders)
    while True:
        log.begin_rebuild(begun.point.events)
        try:
            if begun.point != BEGINNING:
                check_links(directory, settings.partition, begun.point)
            return begun, recover(
                directory, settings.partition, begun.book, log, progress.reached, since=begun.point, tables=begun.tables
            )
        except Damage as damage:
            if begun.point == BEGINNING or isinstance(damage, NewerRules):
                raise
            logger.warning("from the snapshot of %d on: %s; replaying it all", begun.point.sequence, damage)
            skipped = (*begun.skipped, f"{begun.point.sequence:020d}: what follows it differs: {damage}")
            begun = Begun(engines.make(), BEGINNING, Tables(), skipped)


def _forget_cached(directory: Path) -> None:
    """Sync the newest segments, and read anew from the disk what no watermark tells to have been synced: after a failed sync
    the page cache may hold what the disk does not."""
    for number in segment_numbers(directory)[-3:]:
        path = segment_path(directory, number)
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            sync_data(fd, path)
            if hasattr(os, "posix_fadvise"):
                doubtful = _synced_bytes(os.pread(fd, HEADER_BYTES, 0))
                os.posix_fadvise(fd, 0, _PAGE_BYTES, os.POSIX_FADV_DONTNEED)
                os.posix_fadvise(fd, doubtful, 0, os.POSIX_FADV_DONTNEED)
                os.posix_fadvise(fd, doubtful, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(fd)


def _synced_bytes(head: bytes) -> int:
    """Of a segment with this header: up to here, in whole pages, a sync is known to have succeeded. It was made known only
    after that, so it holds however old the header is that the page cache or the disk has."""
    try:
        header = SegmentHeader.decode(head)
        watermark = read_watermark(head, header.epoch)
    except JournalError:
        return 0
    records = max(watermark.sequence + 1 - header.first_sequence, 0) if watermark else 0
    return (HEADER_BYTES + records * RECORD_BYTES) // _PAGE_BYTES * _PAGE_BYTES


def _repair(directory: Path, settings: EngineSettings, recovered: Recovered, journal: int) -> Position:
    """Everything was read without damage: zero torn ends, make the first segment, renew the watermark."""
    for spare in recovered.spares:
        if spare.torn_header:
            logger.warning("%s: its header was never finished, cleared it", spare.path)
            _zero(spare.path, 0, HEADER_BYTES)
    newest = recovered.newest
    if newest is None:
        return _first_segment(directory, settings, journal)
    if newest.torn:
        count = _zero(newest.path, newest.end_offset, None)
        logger.warning(
            "%s offset %d: torn tail of %d bytes cut off; nobody was told of it (%s)",
            newest.path,
            newest.end_offset,
            count,
            newest.torn,
        )
    # What stood above the old watermark is durable now, and repeats of it will be acknowledged.
    mark = Watermark(newest.watermark + 1, newest.sequence, newest.chain)
    _overwrite(newest.path, mark.encode(newest.header.epoch), mark.offset)
    return Position(newest.number, newest.header.epoch, newest.end_offset, newest.chain, mark.counter)


def _first_segment(directory: Path, settings: EngineSettings, journal: int) -> Position:
    prepare_segment(directory, 1, settings.segment_bytes)
    sync_ancestors(directory)
    header = SegmentHeader(settings.partition, 1, 1, journal, CHAIN_START, 0, time.time_ns())
    _overwrite(segment_path(directory, 1), header.encode(), 0)
    return Position(1, 1, HEADER_BYTES, journal, 0)


def _zero(path: Path, start: int, end: int | None) -> int:
    """Overwrite with zeros and sync; returns how many bytes up to the last that was not zero."""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read() if end is None else file.read(end - start)
    count = len(data.rstrip(b"\0"))
    _overwrite(path, bytes(count), start)
    return count


def _overwrite(path: Path, data: bytes, offset: int) -> None:
    with path.open("r+b") as file:
        write_at(file.fileno(), data, offset, path)
        sync_data(file.fileno(), path)
