"""The event log's files: their names and sizes, and making them ahead of their use.

    data_dir/events/00000000.events   EVENTS_PER_FILE events; ordinal n is in file n // EVENTS_PER_FILE
    data_dir/events/00000000.index    per command sequence 8 bytes: 1 + ordinal of that order's last event, 0 if none

Events are written with pwrite, because a full disk is an error there. The index is written through a mapping, so its files
are filled with zeros before they get their names: a hole could fail without an error to catch. That takes a millisecond or
more, so a thread makes the next file of either kind while the current one is used; it also begins the write-back of what
was written, so that no gigabytes gather in the page cache and stall whoever syncs or writes next.

Nobody deletes event files: an old one may hold the first events of an order that still rests, or the answer that a repeat
gets. What bounds them is the disk, at 128 bytes per event and 8 per command.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from engine.records import EVENT_BYTES

logger = logging.getLogger(__name__)

EVENTS_PER_FILE = 1 << 18
SEQUENCES_PER_FILE = 1 << 18
EVENTS_FILE_BYTES = EVENTS_PER_FILE * EVENT_BYTES
INDEX_FILE_BYTES = SEQUENCES_PER_FILE * 8
EVENTS, INDEX = ".events", ".index"
UNFINISHED = ".preparing"
READ_EVENTS = 1 << 14  # at a time, for a replay
_LOOKED_AT_BYTES = 1 << 20


class EventFiles:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ahead: dict[Path, Future[None]] = {}
        self._thread: ThreadPoolExecutor | None = None
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, number: int, suffix: str) -> Path:
        return self.directory / f"{number:08d}{suffix}"

    def ready(self, number: int, suffix: str) -> Path:
        """The path of a whole file, made now if it was not made ahead; the next one is begun. Raises OSError."""
        path = self.path(number, suffix)
        prepared = self._ahead.pop(path, None)
        if prepared is not None:
            if not prepared.done():
                logger.warning("waiting for %s: it is needed before it could be prepared", path)
            if prepared.exception() is not None:
                logger.warning("%s could not be prepared (%s), trying again", path, prepared.exception())
        _make(path)
        return path

    def prepare(self, number: int, suffix: str) -> None:
        """Begin to make a file that is needed soon."""
        path = self.path(number, suffix)
        if path not in self._ahead and not path.exists():
            self._ahead[path] = self.in_background().submit(_make, path)

    def in_background(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="events")
        return self._thread

    def forget_index(self) -> None:
        self.close()
        for pattern in (f"*{INDEX}", f"*{UNFINISHED}"):
            for path in self.directory.glob(pattern):
                path.unlink()

    def close(self) -> None:
        """Nothing is made any more after this returned; it can be used again."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
        self._thread = None
        self._ahead.clear()


def _make(path: Path) -> None:
    """A whole file under its name. Raises an OSError that names it."""
    size = EVENTS_FILE_BYTES if path.suffix == EVENTS else INDEX_FILE_BYTES
    try:
        stands = path.stat().st_size
    except FileNotFoundError:
        stands = 0
    if stands == size:
        return
    unfinished = path.with_suffix(path.suffix + UNFINISHED)
    keeps = stands and path.suffix == EVENTS  # a short file of events keeps what it has
    try:
        with path.open("r+b") if keeps else unfinished.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            if path.suffix == EVENTS:
                file.truncate(size)
            else:
                file.write(bytes(size))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    if not keeps:
        unfinished.rename(path)


def events_from(files: EventFiles, first: int) -> Generator[memoryview, None, None]:
    """What the files hold from an ordinal on, in pieces, zeros where a file is short; ends where there is no file. Each is
    valid until the one after the next is asked for. Raises OSError."""
    number, place = divmod(first, EVENTS_PER_FILE)
    buffers = [bytearray(READ_EVENTS * EVENT_BYTES), bytearray(READ_EVENTS * EVENT_BYTES)]
    while (path := files.path(number, EVENTS)).exists():
        with path.open("rb", buffering=0) as file:
            while place < EVENTS_PER_FILE:
                piece = memoryview(buffers[0])[: min(READ_EVENTS, EVENTS_PER_FILE - place) * EVENT_BYTES]
                file.seek(place * EVENT_BYTES)
                read = file.readinto(piece)
                piece[read:] = bytes(len(piece) - read)
                buffers.reverse()
                place += len(piece) // EVENT_BYTES
                yield piece
        number, place = number + 1, 0


def end_of_data(path: Path, offset: int) -> int:
    """Behind the last byte that is not zero, from an offset on; the offset where there is none. What was never written is
    a hole, and is not read. Raises OSError."""
    zeros, end = bytes(_LOOKED_AT_BYTES), offset
    with path.open("rb", buffering=0) as file:
        fd, at = file.fileno(), _data_from(file.fileno(), offset)
        while at is not None:
            data = os.pread(fd, _LOOKED_AT_BYTES, at)
            if not data:
                break
            if data != zeros[: len(data)]:
                end = at + len(data.rstrip(b"\0"))
            at = _data_from(fd, at + len(data))
    return end


def _data_from(fd: int, offset: int) -> int | None:
    """Where the next bytes stand that were written; None: none do."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
