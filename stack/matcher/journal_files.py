"""The journal's segment files: where records become durable.

Guarantee: when `commit` returns, its records are on disk. After any error the files are not touched again: a second fsync
on the same descriptor may succeed without having written anything, so only the next start, which reads the disk, knows.

    data_dir/journal/00000001.journal   4096 bytes of header, records, zeros; see engine/segment.py
    data_dir/journal/*.preparing        a next segment that was not finished; deleted at start

Segments are numbered without gaps and never recycled. Each has an epoch of its own. They are written full of zeros and
synced before their use, by a thread, because a sync of blocks that exist already costs half of one that allocates them
(fallocate alone does not help: its blocks are written for the first time all the same). The thread reserves the whole of the
next segment as soon as the current one is begun, and tries again while the disk is full: `no_room` says so long before that
segment is needed. A segment without header is a spare.

Order of writes when a segment begins: watermark of the old one, sync; header of the new one, sync; records, sync. So a
segment with a header has a whole predecessor, and a header that is torn has no records behind it.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from engine.journal import HEADER_BYTES, SegmentHeader, Watermark
from engine.records import RECORD_BYTES
from stack.matcher.sequencer import Group

logger = logging.getLogger(__name__)

SUFFIX = ".journal"
UNFINISHED = ".preparing"
_FILL_BYTES = 4 << 20
_PREPARE_AGAIN_S = 0.25
KEPT_FREE_BYTES = 64 << 20  # what a next segment leaves to the event log
fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has none


class Position(NamedTuple):
    """Where the journal's newest segment stands."""

    number: int  # of the file
    epoch: int
    offset: int  # where the next record belongs
    chain: int
    watermark: int  # counter of the last watermark written


class Point(NamedTuple):
    """A place between two groups of the journal, and what everything up to there comes to."""

    segment: int  # number of the file
    epoch: int
    offset: int  # in the file, where the next record belongs
    sequence: int  # of the last record
    chain: int
    events: int
    events_hash: int
    time_ns: int


def segment_path(directory: Path, number: int) -> Path:
    return directory / f"{number:08d}{SUFFIX}"


def segment_numbers(directory: Path) -> list[int]:
    return sorted(int(path.stem) for path in directory.glob(f"*{SUFFIX}") if path.stem.isdigit())


class JournalFiles:
    """Owned by one process at a time: whoever holds the lock on the data folder."""

    def __init__(self, directory: Path, segment_bytes: int, position: Position) -> None:
        self._directory = directory
        self.segment_records = (segment_bytes - HEADER_BYTES) // RECORD_BYTES
        self._segment_bytes = segment_bytes
        self.epoch = position.epoch
        self.chain = position.chain
        self.watermark_unsynced = False
        self._number = position.number
        self._offset = position.offset
        self._watermark_counter = position.watermark
        self._path = segment_path(directory, position.number)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        # The file's own size counts: it may have been made under another segment_bytes.
        self.room_records = (os.fstat(self._fd).st_size - position.offset) // RECORD_BYTES
        self.no_room = ""  # why there is no next segment; empty while it is there or on its way
        self._closing = threading.Event()
        self._preparer = ThreadPoolExecutor(1, thread_name_prefix="segments")
        self._spare: Future[None] = self._preparer.submit(self._prepare, position.number + 1)

    def commit(self, groups: Sequence[Group]) -> float:
        """Write and sync the groups' records; without groups, sync what is left of the last watermark.

        Returns how many seconds the sync of the records took. Raises OSError.
        """
        for group in groups:
            if group.header is not None:
                self._begin_segment(group.header)
            self._write(group.records, self._offset)
            self._offset += len(group.records)
        start_s = time.perf_counter()
        self._sync()
        took_s = time.perf_counter() - start_s
        self.watermark_unsynced = False
        if groups:
            self._write_watermark(groups[-1].sequence, groups[-1].chain)
        return took_s

    def point(self, sequence: int, chain: int, events: int, events_hash: int, time_ns: int) -> Point:
        """Behind what was written last; the rest of it is for the caller to know."""
        return Point(self._number, self.epoch, self._offset, sequence, chain, events, events_hash, time_ns)

    def close(self) -> None:
        os.close(self._fd)
        self._closing.set()
        self._preparer.shutdown(wait=True, cancel_futures=True)

    def _begin_segment(self, header: SegmentHeader) -> None:
        self._sync()
        self._write_watermark(header.first_sequence - 1, header.chain)
        self._sync()
        if not self._spare.done():
            logger.warning("waiting for the next journal segment: it is needed before it could be prepared")
        while not self._spare.done():
            if self.no_room:  # what is to be written has been applied already
                raise OSError(f"no next journal segment: {self.no_room}")
            wait([self._spare], _PREPARE_AGAIN_S)
        os.close(self._fd)
        self._number += 1
        self.epoch = header.epoch
        self._path = segment_path(self._directory, self._number)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._watermark_counter = 0
        self._write(header.encode(), 0)
        self._sync()
        self._offset = HEADER_BYTES
        self._spare = self._preparer.submit(self._prepare, self._number + 1)

    def _write_watermark(self, sequence: int, chain: int) -> None:
        self._watermark_counter += 1
        mark = Watermark(self._watermark_counter, sequence, chain)
        self._write(mark.encode(self.epoch), mark.offset)
        self.watermark_unsynced = True

    def _write(self, data: bytes, offset: int) -> None:
        write_at(self._fd, data, offset, self._path)

    def _sync(self) -> None:
        sync_data(self._fd, self._path)

    def _prepare(self, number: int) -> None:
        while not self._closing.is_set():
            try:
                prepare_segment(self._directory, number, self._segment_bytes, self._closing, KEPT_FREE_BYTES)
            except OSError as error:
                if not self.no_room:
                    logger.warning("the next journal segment could not be prepared (%s), trying again", error)
                self.no_room = str(error)
                self._closing.wait(_PREPARE_AGAIN_S)
            else:
                self.no_room = ""
                return


def write_at(fd: int, data: bytes, offset: int, path: Path) -> None:
    """All of it, or an OSError that names the file."""
    try:
        written = os.pwrite(fd, data, offset)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    if written != len(data):
        raise OSError(f"wrote {written} of {len(data)} bytes at {offset} of {path}")


def sync_data(fd: int, path: Path) -> None:
    """Raises an OSError that names the file."""
    try:
        fdatasync(fd)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def prepare_segment(
    directory: Path, number: int, segment_bytes: int, stop: threading.Event | None = None, keep_free_bytes: int = 0
) -> None:
    """A whole segment of zeros under its name, unless it is there; unfinished when told to stop. Raises OSError."""
    path = segment_path(directory, number)
    if path.exists() and path.stat().st_size == segment_bytes:
        return
    unfinished = path.with_suffix(UNFINISHED)
    if free_bytes(directory) < segment_bytes + keep_free_bytes:  # to try would take from others what is left
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(unfinished))
    fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, segment_bytes)
        zeros = bytes(min(_FILL_BYTES, segment_bytes))
        left = segment_bytes
        while left:
            if stop is not None and stop.is_set():
                return
            left -= os.write(fd, zeros[: min(left, len(zeros))])
            sync_data(fd, unfinished)  # in pieces, so that the syncs of the current segment never wait for all of it
        os.fsync(fd)
    except OSError as error:
        unfinished.unlink()  # what it took so far may be what others need
        raise OSError(error.errno, error.strerror, str(unfinished)) from error
    finally:
        os.close(fd)
    unfinished.rename(path)
    sync_directory(directory)


def free_bytes(directory: Path) -> int:
    facts = os.statvfs(directory)
    return facts.f_bavail * facts.f_frsize


def sync_ancestors(directory: Path) -> None:
    """The names of all folders on the way to this one, up to its mount. Whoever made them may have been killed before syncing."""
    directory = directory.resolve()
    while not directory.is_mount():
        directory = directory.parent
        try:
            sync_directory(directory)
        except PermissionError:
            return  # not ours, so made and synced by somebody else


def sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
