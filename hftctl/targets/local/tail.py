"""One log with its rotated predecessors, read so that no line is lost and none comes twice.

A rotation renames `a.log` to `a.log.1`, that one to `a.log.2`, and so on; files are told apart by their inode, which we hold
open. So files are opened from the newest to the oldest: one that is renamed meanwhile moves towards us, never past us. Who
writes may do so to the file it has for a moment after its successor is there; so the one before the newest is read on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hftctl.targets.local.rotation import KEPT

LINE_BYTES_MAX = 1 << 16
READ_BYTES = 1 << 16
GAP = "hftctl: lines are missing here, this log was rotated away faster than it was read"


class Tail:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._pieces: list[_Piece] = []  # oldest first

    def texts(self) -> Iterator[str]:
        """The lines that are new since the last call."""
        while True:
            newer, gap = self._newer()
            if gap:
                yield GAP
            self._pieces += newer
            while self._pieces:
                yield from self._pieces[0].lines()
                if len(self._pieces) <= 2:
                    break
                self._pieces.pop(0).close()
            if len(self._pieces) == 2:
                yield from self._pieces[1].lines()
            if not newer:
                return

    def close(self) -> None:
        for piece in self._pieces:
            piece.close()
        self._pieces.clear()

    def _newer(self) -> tuple[list[_Piece], bool]:
        """Files after the newest we have, oldest first; whether some between may have gone."""
        last = self._pieces[-1].inode if self._pieces else None
        found: list[_Piece] = []
        for path in [self.path, *(self.path.with_name(f"{self.path.name}.{number}") for number in range(1, KEPT + 1))]:
            try:
                piece = _Piece(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except FileNotFoundError:
                continue
            if piece.inode == last:
                piece.close()
                return found, False
            if found and piece.inode == found[0].inode:
                piece.close()  # renamed while we came here
                continue
            found.insert(0, piece)
        return found, bool(found) and last is not None


class _Piece:
    """One file, from its first byte that is still there."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._offset = 0
        self._rest = b""
        self._told = self._in_hole = False
        self.inode = os.fstat(handle).st_ino

    def close(self) -> None:
        os.close(self._handle)

    def lines(self) -> Iterator[str]:
        if os.fstat(self._handle).st_size < self._offset:
            self._offset, self._rest = 0, b""  # emptied by hand
        while piece := os.pread(self._handle, READ_BYTES, self._offset):
            self._offset += len(piece)
            if b"\0" in piece:
                # The beginning was given back to the disk, see rotation.py; a line begins where the hole ends.
                if self._told and not self._in_hole:
                    yield GAP
                self._in_hole = True
                piece, self._rest = piece[piece.rindex(b"\0") + 1 :], b""
                if not piece:
                    self._skip_hole()
            self._in_hole, self._told = self._in_hole and not piece, True
            *whole, self._rest = (self._rest + piece).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole if line)
            while len(self._rest) >= LINE_BYTES_MAX:
                yield self._rest[:LINE_BYTES_MAX].decode(errors="replace")
                self._rest = self._rest[LINE_BYTES_MAX:]

    def _skip_hole(self) -> None:
        with suppress(OSError):  # nothing behind it yet, or a file system that knows no holes: it is read on
            self._offset = os.lseek(self._handle, self._offset, os.SEEK_DATA)
