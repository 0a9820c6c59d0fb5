"""What a disk may hold after the power went: the log of the shim, replayed up to a moment, with what was not synced left to chance.

Synced means: a sync of that file or folder began after the change was made and had ended before the cut. Everything else may
have reached the disk or not, in any order:

    data      4 KiB page by page, each as it stood after any of the writes to it; a torn page mixes two such states by sectors
    size      any that the file had since the last sync
    names     of each folder, the first so many of its changes since its last sync; one change happens whole or not at all
    mappings  pages that were written through one: as the file was written before, or, at the end of the log, as it is now

A synced file whose name was not synced is gone, with all that is in it.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import NamedTuple, TypeAlias

PAGE_BYTES, SECTOR_BYTES = 4096, 512
_ENTRY = struct.Struct("<IIIIQQQQ")
_ZEROS = bytes(PAGE_BYTES)


class Kind(IntEnum):
    """As in shim.c."""

    CREATE = 1
    MKDIR = 2
    WRITE = 3
    SIZE = 4
    RENAME = 5
    UNLINK = 6
    RMDIR = 7
    SYNC_BEGIN = 8
    SYNC_END = 9
    MAP = 10
    LINK = 11


class Entry(NamedTuple):
    end: int  # position in the log behind it
    kind: Kind
    inode: int
    offset: int  # of a sync: its number
    length: int
    path: Path
    other: Path
    data: bytes


def read_log(path: Path, start: int = 0) -> Iterator[Entry]:
    log = path.read_bytes()
    at = start
    while at < len(log):
        kind, path_bytes, other_bytes, _, inode, offset, length, data_bytes = _ENTRY.unpack_from(log, at)
        texts = at + _ENTRY.size
        data = texts + path_bytes + other_bytes
        at = data + data_bytes
        yield Entry(
            at, Kind(kind), inode, offset, length, Path(os.fsdecode(log[texts : texts + path_bytes])),
            Path(os.fsdecode(log[texts + path_bytes : data])), log[data:at],
        )  # fmt: skip


class Fate(StrEnum):
    """What becomes of changes that were not synced."""

    LOST = "all lost"
    PAGES = "pages at random"
    TORN = "pages at random, torn"
    KEPT = "all kept"


@dataclass
class File:
    pages: dict[int, bytes] = field(default_factory=dict)  # synced; those that are not there are zeros
    size: int = 0  # synced
    pending: list[tuple[int, int, bytes | None]] = field(default_factory=list)  # when, offset or size, data of a write
    mapped: bool = False

    def settle(self, until: int) -> None:
        while self.pending and self.pending[0][0] < until:
            _, offset, data = self.pending.pop(0)
            if data is None:
                self._resize(offset)
                continue
            self.size = max(self.size, offset + len(data))
            for page, piece, at in _pieces(offset, data):
                self.pages[page] = _patched(self.pages.get(page, _ZEROS), piece, at)

    def _resize(self, size: int) -> None:
        last, rest = divmod(size, PAGE_BYTES)
        for page in [page for page in self.pages if page > last or (page == last and not rest)]:
            del self.pages[page]
        if last in self.pages:
            self.pages[last] = self.pages[last][:rest].ljust(PAGE_BYTES, b"\0")
        self.size = size

    def after_cut(self, fate: Fate, chance: random.Random, now: File | None) -> File:
        """`now`: what the file really holds, for what was written through a mapping."""
        if fate is Fate.LOST:
            return File(dict(self.pages), self.size)
        if fate is Fate.KEPT and now is not None:
            return now
        states: dict[int, list[bytes]] = {}
        sizes = [self.size]
        for _, offset, data in self.pending:
            if data is None:
                sizes.append(offset)
                for page in [page for page in {*states, *self.pages} if page >= offset // PAGE_BYTES]:
                    known = states.setdefault(page, [self.pages.get(page, _ZEROS)])
                    known.append(known[-1][: max(0, offset - page * PAGE_BYTES)].ljust(PAGE_BYTES, b"\0"))
                continue
            sizes.append(max(sizes[-1], offset + len(data)))
            for page, piece, at in _pieces(offset, data):
                known = states.setdefault(page, [self.pages.get(page, _ZEROS)])
                known.append(_patched(known[-1], piece, at))
        if now is not None:
            for page in {*now.pages, *self.pages}:
                states.setdefault(page, [self.pages.get(page, _ZEROS)]).append(now.pages.get(page, _ZEROS))
        made = File(dict(self.pages), self.size)
        for page, known in states.items():
            made.pages[page] = known[-1] if fate is Fate.KEPT else _drawn(known, fate, chance)
        made._resize(sizes[-1] if fate is Fate.KEPT else chance.choice(sizes))
        return made


@dataclass
class Folder:
    names: dict[str, Node] = field(default_factory=dict)  # synced
    pending: list[tuple[int, dict[str, Node | None]]] = field(default_factory=list)  # when, names that changed together

    def now(self, changes: int | None = None) -> dict[str, Node]:
        """With the first `changes` of those that were not synced; with all of them by default."""
        names: dict[str, Node | None] = dict(self.names)
        for _, change in self.pending[:changes]:
            names |= change
        return {name: node for name, node in names.items() if node is not None}

    def settle(self, until: int) -> None:
        count = sum(when < until for when, _ in self.pending)
        self.names = self.now(count)
        del self.pending[:count]


Node: TypeAlias = File | Folder


class Disk:
    """Everything below one folder: what is synced, and what has been changed since."""

    def __init__(self, root: Path) -> None:
        """As `root` is now, all of it synced."""
        self._real = root.resolve()
        self._inodes: dict[int, Node] = {}
        self._syncs: dict[int, int] = {}
        self.followed = 0  # entries
        self.root = self._folder(self._real)

    def _folder(self, path: Path) -> Folder:
        made = Folder()
        self._inodes[path.stat().st_ino] = made
        for entry in path.iterdir():
            if entry.is_dir():
                made.names[entry.name] = self._folder(entry)
            elif entry.is_file():
                made.names[entry.name] = self._inodes[entry.stat().st_ino] = read_file(entry)
        return made

    def follow(self, entry: Entry) -> None:
        self.followed += 1
        node = self._inodes.get(entry.inode)
        match entry.kind:
            case Kind.CREATE:
                self._inodes[entry.inode] = made = File()
                self._name(entry.path, made)
            case Kind.MKDIR:
                self._inodes[entry.inode] = folder = Folder()
                self._name(entry.path, folder)
            case Kind.WRITE if isinstance(node, File):
                node.pending.append((self.followed, entry.offset, entry.data))
            case Kind.SIZE if isinstance(node, File):
                node.pending.append((self.followed, entry.length, None))
            case Kind.MAP if isinstance(node, File):
                node.mapped = True
            case Kind.SYNC_BEGIN:
                self._syncs[entry.offset] = self.followed
            case Kind.SYNC_END if node is not None:
                node.settle(self._syncs.pop(entry.offset))
            case Kind.UNLINK | Kind.RMDIR:
                self._name(entry.path, None)
            case Kind.LINK:
                self._name(entry.other, self._at(entry.path))
            case Kind.RENAME:
                node = self._at(entry.path)
                if entry.path.parent == entry.other.parent:
                    change: dict[str, Node | None] = {entry.path.name: None, entry.other.name: node}
                    self._parent(entry.path).pending.append((self.followed, change))
                else:
                    self._name(entry.other, node)
                    self._name(entry.path, None)
            case _:
                raise ValueError(f"{entry.kind.name} of inode {entry.inode}, which the log never mentioned before")

    def _name(self, path: Path, node: Node | None) -> None:
        self._parent(path).pending.append((self.followed, {path.name: node}))

    def _parent(self, path: Path) -> Folder:
        found = self._at(path.parent)
        assert isinstance(found, Folder), path
        return found

    def _at(self, path: Path) -> Node:
        node: Node = self.root
        for part in path.relative_to(self._real).parts:
            assert isinstance(node, Folder), path
            node = node.now()[part]
        return node

    def cut(self, target: Path, fate: Fate, chance: random.Random, *, at_the_end: bool) -> None:
        """Write to `target` what is left. `at_the_end`: the process wrote nothing after the last entry that was followed."""
        self._write(self.root, target, fate, chance, self._real if at_the_end else None)

    def _write(self, folder: Folder, target: Path, fate: Fate, chance: random.Random, real: Path | None) -> None:
        target.mkdir(mode=0o700)
        known = {Fate.LOST: 0, Fate.KEPT: len(folder.pending)}
        for name, node in folder.now(known.get(fate, chance.randint(0, len(folder.pending)))).items():
            beside = real / name if real is not None else None
            if isinstance(node, Folder):
                self._write(node, target / name, fate, chance, beside)
                continue
            now = read_file(beside) if node.mapped and beside is not None and beside.is_file() else None
            write_file(target / name, node.after_cut(fate, chance, now))


def read_file(path: Path) -> File:
    made = File(size=path.stat().st_size)
    with path.open("rb") as file:
        at = 0
        while at < made.size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA) // PAGE_BYTES * PAGE_BYTES
            except OSError:  # only a hole is left
                break
            data = os.pread(file.fileno(), 1 << 20, at)
            for page, piece, _ in _pieces(at, data):
                if piece.strip(b"\0"):
                    made.pages[page] = piece.ljust(PAGE_BYTES, b"\0")
            at += len(data)
    return made


def write_file(path: Path, file: File) -> None:
    with path.open("wb") as out:
        path.chmod(0o600)
        for page, data in file.pages.items():
            if page * PAGE_BYTES < file.size:
                out.seek(page * PAGE_BYTES)
                out.write(data[: file.size - page * PAGE_BYTES])
        out.truncate(file.size)


def _pieces(offset: int, data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Page, what of `data` belongs there, and where in the page."""
    done = 0
    while done < len(data):
        page, at = divmod(offset + done, PAGE_BYTES)
        piece = data[done : done + PAGE_BYTES - at]
        yield page, piece, at
        done += len(piece)


def _patched(page: bytes, piece: bytes, at: int) -> bytes:
    return page[:at] + piece + page[at + len(piece) :]


def _drawn(states: list[bytes], fate: Fate, chance: random.Random) -> bytes:
    if fate is Fate.PAGES:
        return chance.choice(states)
    older, newer = sorted(chance.sample(range(len(states)), 2)) if len(states) > 1 else (0, 0)
    sectors = range(0, PAGE_BYTES, SECTOR_BYTES)
    return b"".join(states[chance.choice((older, newer))][at : at + SECTOR_BYTES] for at in sectors)
