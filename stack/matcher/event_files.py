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

import logging
import os
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
