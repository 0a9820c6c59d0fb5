"""Snapshot files: what an engine's memory held at one point of its journal.

    data_dir/snapshots/00000000000002000000.snapshot   named after the last command in it
    data_dir/snapshots/*.preparing                     one that was not finished; deleted at start

    0      magic, checksum and length of a JSON document, then the document: what it is of, and its state hash
    4096   pieces: kind, number, length, checksum of the piece, checksum of these four; then the piece

A snapshot has its name only when all of it is on disk, and so has every event up to its point. It saves a start the replay
of what lies below it and nothing else: the journal stays the truth, and one that is damaged, or is of another journal,
costs a longer start. Only the compiled engine writes and reads them; the plain one remembers ids by their text, which is
not in there, and replays in full. The secret that ids are hashed with is in there: the files are their owner's alone.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.journal import crc32c
from engine.records import EVENT_BYTES, RULES_VERSION
from stack.matcher.ahead import ahead
from stack.matcher.event_files import EVENTS, EVENTS_PER_FILE, INDEX, SEQUENCES_PER_FILE
from stack.matcher.journal_files import Point, fdatasync, sync_directory
from stack.matcher.limits_file import Limits, read_limits

if TYPE_CHECKING:
    from engine.matching import Engine

NAME = "snapshots"
SUFFIX = ".snapshot"
UNFINISHED = ".preparing"
KEPT = 2
FORMAT = 1
_MAGIC = b"HFTSNAP\0"
_HEAD_BYTES = 4096
_HEAD = struct.Struct("<8sII")  # magic, checksum and length of the document
_PIECE = struct.Struct("<IIIII4x")  # kind, number, length, checksum of the piece, checksum of the sixteen bytes before
_PIECE_BYTES_MAX = 64 << 20
_SYNC_BYTES = 16 << 20  # in pieces, so that the journal's syncs never wait for all of it


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document at a snapshot's beginning."""

    format: int
    rules_version: int
    partition: int
    max_live_orders: int
    point: Point
    journal: int  # where its chain begins, see limits_file.py
    event_ends: int  # see `event_ends`
    state_hash: int
    live_orders: int
    created_ns: int
    no_index: list[int]  # files of the event log's index that no order has needed
    pieces: int
    bytes: int  # of the whole file


class Unusable(Exception):
    """A snapshot that a start cannot begin from; one clause that says why."""


def snapshot_paths(data_dir: Path) -> list[Path]:
    """Newest first."""
    return sorted((path for path in (data_dir / NAME).glob(f"*{SUFFIX}") if path.stem.isdigit()), reverse=True)


def write_snapshot(data_dir: Path, book: Engine, point: Point, *, partition: int, max_live_orders: int) -> Described:
    """Everything logged up to the point is synced, then the snapshot is written. Whatever happens, there is a whole one
    under its name or none. Older ones but one are deleted. Raises OSError."""
    directory = data_dir / NAME
    created_ns = time.time_ns()
    if not directory.exists():
        directory.mkdir(mode=0o700)
        sync_directory(data_dir)
    no_index = _sync_events(data_dir, point)
    path = directory / f"{point.sequence:020d}{SUFFIX}"
    unfinished = path.with_suffix(UNFINISHED)
    fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        pieces, unsynced, end = 0, 0, _HEAD_BYTES
        os.lseek(fd, end, os.SEEK_SET)

        def write(kind: int, piece: bytes) -> None:
            nonlocal pieces, unsynced, end
            head = struct.pack("<IIII", kind, pieces, len(piece), crc32c(piece))
            _write_all(fd, head + struct.pack("<I4x", crc32c(head)), piece)
            pieces += 1
            end += _PIECE.size + len(piece)
            unsynced += len(piece)
            if unsynced >= _SYNC_BYTES:
                fdatasync(fd)
                unsynced = 0

        book.dump(write)
        described = Described(
            FORMAT,
            book.rules,
            partition,
            max_live_orders,
            point,
            (read_limits(data_dir) or Limits(max_live_orders)).journal,
            event_ends(data_dir, point),
            book.state_hash(),
            book.live,
            created_ns,
            no_index,
            pieces,
            end,
        )
        document = msgspec.json.encode(described)
        fdatasync(fd)
        os.pwrite(fd, _HEAD.pack(_MAGIC, crc32c(document), len(document)) + document, 0)
        os.fsync(fd)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(unfinished)) from error
    finally:
        os.close(fd)
    unfinished.rename(path)
    sync_directory(directory)
    for old in snapshot_paths(data_dir)[KEPT:]:
        old.unlink()
    return described


def _write_all(fd: int, head: bytes, piece: bytes) -> None:
    left = [memoryview(head), memoryview(piece)]
    while left:
        written = os.writev(fd, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def describe(path: Path) -> Described:
    """What a snapshot says of itself. Raises Unusable and OSError."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        size = os.fstat(file.fileno()).st_size
    if len(head) < _HEAD_BYTES:
        raise Unusable(f"it has {size} bytes")
    magic, checksum, length = _HEAD.unpack_from(head)
    document = head[_HEAD.size : _HEAD.size + length]
    if magic != _MAGIC:
        raise Unusable(f"it begins with {magic!r}: no snapshot")
    if crc32c(document) != checksum:
        raise Unusable("its description is damaged")
    try:
        described = msgspec.json.decode(document, type=Described)
    except msgspec.DecodeError as error:
        raise Unusable(f"its description is of another release: {error}") from None
    if described.rules_version > RULES_VERSION:
        raise Unusable(
            f"it was taken under rules {described.rules_version}, this engine knows them up to {RULES_VERSION}"
        )
    for name, stands, due in (
        ("format", described.format, FORMAT),
        ("size", size, described.bytes),
    ):
        if stands != due:
            raise Unusable(f"its {name} is {stands}, not {due}")
    return described


def load_snapshot(path: Path, described: Described, book: Engine) -> None:
    """Into a fresh engine, which is good for nothing after an error. Raises Unusable and OSError."""
    number = 0
    with closing(ahead(_pieces(path))) as pieces:
        for number, (kind, piece) in enumerate(pieces, start=1):
            try:
                book.restore(kind, piece)
            except ValueError as error:
                raise Unusable(f"piece {number}: {error}") from None
    if number != described.pieces:
        raise Unusable(f"it has {number} of {described.pieces} pieces")
    try:
        book.finish_restore()
        stands = (book.sequence, book.events, book.live, book.state_hash())
    except (ValueError, AssertionError) as error:
        raise Unusable(str(error)) from None
    due = (described.point.sequence, described.point.events, described.live_orders, described.state_hash)
    if stands != due:
        raise Unusable(f"it comes to sequence, events, live orders and state hash {stands}, and says {due}")


def _pieces(path: Path) -> Generator[tuple[int, memoryview], None, None]:
    """Each is valid until the one after the next is asked for."""
    buffers = [bytearray(1 << 20), bytearray(1 << 20)]
    with path.open("rb", buffering=0) as file:
        file.seek(_HEAD_BYTES)
        number = 0
        while head := file.read(_PIECE.size):
            if len(head) < _PIECE.size:
                raise Unusable(f"it ends inside piece {number + 1}")
            kind, its_number, length, checksum, head_checksum = _PIECE.unpack(head)
            if crc32c(head[:16]) != head_checksum or its_number != number or length > _PIECE_BYTES_MAX:
                raise Unusable(f"the head of piece {number + 1} is damaged")
            if length > len(buffers[0]):
                buffers[0] = bytearray(length)
            piece = memoryview(buffers[0])[:length]
            buffers.reverse()
            read = 0
            while read < length and (got := file.readinto(piece[read:])):
                read += got
            if read < length or crc32c(piece) != checksum:
                raise Unusable(f"piece {number + 1} is damaged")
            yield kind, piece
            number += 1


def _sync_events(data_dir: Path, point: Point) -> list[int]:
    """Returns which files of the index are not there."""
    missing = []
    for path in event_files(data_dir, point):
        if path.suffix == INDEX and not path.exists():
            missing.append(int(path.stem))
            continue
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    sync_directory(data_dir / "events")
    return missing


def event_files(data_dir: Path, point: Point) -> list[Path]:
    """The files of the event log up to a point."""
    directory = data_dir / "events"
    events = -(-point.events // EVENTS_PER_FILE)
    index = point.sequence // SEQUENCES_PER_FILE + 1
    return [
        *(directory / f"{number:08d}{EVENTS}" for number in range(events)),
        *(directory / f"{number:08d}{INDEX}" for number in range(index)),
    ]


def event_ends(data_dir: Path, point: Point) -> int:
    """A checksum over the first and the last event of each file of events up to a point: a file of another journal, an older
    one or one in another's place gives another. Raises OSError."""
    ends = bytearray()
    for number, first in enumerate(range(0, point.events, EVENTS_PER_FILE)):
        last = min(point.events - first, EVENTS_PER_FILE) - 1
        with (data_dir / "events" / f"{number:08d}{EVENTS}").open("rb", buffering=0) as file:
            ends += file.read(EVENT_BYTES)
            file.seek(last * EVENT_BYTES)
            ends += file.read(EVENT_BYTES)
    return crc32c(bytes(ends))
