"""Where a journal's bytes are: a file of this machine, or whatever a target keeps its records in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from hftctl.paths import make_folder, sync_folder, write_atomic

NONE = -2  # the size of what is not there


class JournalFile(Protocol):
    def read(self) -> bytes:
        """All of it; empty where there is none yet."""

    def size(self) -> int:
        """In bytes; -2 where there is none yet."""

    def append(self, data: bytes, at: int) -> None:
        """Durable when it returns. What stands behind byte `at` was torn, and is cut off. Raises OSError."""

    def replace(self, data: bytes) -> None:
        """In one step: a reader, or a crash, meets the old content or the new."""


class LocalFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""

    def size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return NONE

    def append(self, data: bytes, at: int) -> None:
        created = not self._path.exists()
        if not self._path.parent.is_dir():
            make_folder(self._path.parent, mode=0o700)  # one that is there keeps its mode
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(handle, at)
            while data:
                written = os.pwrite(handle, data, at)
                data, at = data[written:], at + written
            os.fsync(handle)
        finally:
            os.close(handle)
        if created:
            sync_folder(self._path.parent)

    def replace(self, data: bytes) -> None:
        write_atomic(self._path, data, mode=0o600)
