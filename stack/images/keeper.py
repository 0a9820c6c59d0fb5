"""Writes into a deployment's volumes for whoever holds this container's standard input. Standard library only.

The container is the lock: it lives as long as somebody at the other end sends something, at least every SILENCE_S seconds. A
request is a line of JSON, then `length` bytes; the answer is a line of JSON, sent when what was written is on the disk.

    {"do": "write", "path", "mode", "length"}   the whole file, replaced in one step
    {"do": "append", "path", "at", "length"}    what stands behind byte `at` is cut off first
    {"do": "remove", "path"}                    a file, or a folder with what is in it (not /srv/hftctl/NAME itself)
    {"do": "list", "path"}                      the names in a folder
    {"do": "beat"}                              somebody is still there
"""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path("/srv/hftctl")
SILENCE_S = 15.0


class Input:
    """Standard input, which ends when nobody is there any more, or nobody says anything."""

    def __init__(self) -> None:
        self._data = b""

    def line(self) -> bytes:
        while b"\n" not in self._data:
            self._more()
        line, _, self._data = self._data.partition(b"\n")
        return line

    def exactly(self, length: int) -> bytes:
        while len(self._data) < length:
            self._more()
        taken, self._data = self._data[:length], self._data[length:]
        return taken

    def _more(self) -> None:
        if not select.select([0], [], [], SILENCE_S)[0]:
            raise EOFError
        piece = os.read(0, 1 << 16)
        if not piece:
            raise EOFError
        self._data += piece


def main() -> int:
    os.umask(0o027)
    source = Input()
    answer({"ok": True})  # the lock is taken
    try:
        while True:
            request = json.loads(source.line())
            data = source.exactly(request.get("length", 0))
            try:
                answer({"ok": True, **do(request, data)})
            except OSError as error:
                answer({"ok": False, "errno": error.errno, "error": error.strerror or str(error)})
    except EOFError:
        return 0


def answer(document: dict[str, Any]) -> None:
    os.write(1, json.dumps(document).encode() + b"\n")


def do(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    if request["do"] == "beat":
        return {}
    path = ROOT / request["path"]
    if request["do"] == "write":
        write(path, data, request["mode"])
    elif request["do"] == "append":
        append(path, data, request["at"])
    elif request["do"] == "remove":
        remove(path)
    elif request["do"] == "list":
        return {"names": sorted(one.name for one in path.iterdir()) if path.is_dir() else []}
    return {}


def write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.fchmod(handle, mode)
        _all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    part.rename(path)
    _sync_folder(path.parent)


def append(path: Path, data: bytes, at: int) -> None:
    created = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.ftruncate(handle, at)
        os.lseek(handle, at, os.SEEK_SET)
        _all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    if created:
        _sync_folder(path.parent)


def remove(path: Path) -> None:
    if path.parent == ROOT:  # a volume's own folder stays: it is what the volume is mounted on
        for one in path.iterdir():
            remove(one)
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


if __name__ == "__main__":
    sys.exit(main())
