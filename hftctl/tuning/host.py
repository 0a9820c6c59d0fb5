"""The machine as a tree of files: everything that tuning reads or writes on a host goes through here.

`root` is `/` on the machine itself. Anywhere else it is a captured tree (`hftctl tune facts --capture`), for plans of
machines that are not this one: nothing is asked of this machine then, no program is run, and what is written lands in
the tree.
"""

from __future__ import annotations

import fnmatch
import os
import re
import sys
from pathlib import Path

PIECE_BYTES, PIECES_MAX = 64 << 10, 128  # a larger read of /proc/sys is refused for want of memory
LINKS_MAX = 16
ENVIRONMENT = "/proc/1/environ"


class Host:
    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root.absolute()
        self.live = self.root == Path("/")
        self.captured: dict[str, bytes | None] | None = None  # once it is a mapping, all that is read is kept in it;
        # None: only that it is there was asked

    @property
    def platform(self) -> str:
        """`linux`, `darwin`: captured trees are of Linux, other machines have none of the files."""
        return sys.platform if self.live else "linux"

    @property
    def program(self) -> str:
        """The interpreter that units of ours start."""
        return sys.executable if self.live else "/usr/bin/python3"

    def at(self, path: str) -> Path:
        """Where a path of the host stands for us."""
        return self.root / path.lstrip("/")

    def read_bytes(self, path: str) -> bytes | None:
        """None where it is absent or does not let itself be read (some files of the kernel answer EINVAL or EIO)."""
        try:
            with self.at(path).open("rb", buffering=0) as file:
                pieces: list[bytes] = []
                while len(pieces) < PIECES_MAX and (piece := file.read(PIECE_BYTES)):
                    pieces.append(piece)
        except OSError:
            return None
        data = b"".join(pieces)
        if self.captured is not None:
            self.captured[path] = data
        return data

    def read(self, path: str) -> str | None:
        data = self.read_bytes(path)
        return None if data is None else data.decode(errors="replace").strip()

    def variable(self, name: str) -> str:
        """A variable of process 1, empty where it has none. Nothing else of its environment is kept in a captured tree."""
        kept, self.captured = self.captured, None
        data = self.read_bytes(ENVIRONMENT) or b""
        self.captured = kept
        found = re.search(rb"(?:^|\0)(" + re.escape(name.encode()) + rb"=([^\0]*))", data)
        if found and kept is not None:
            kept[ENVIRONMENT] = found[1]
        return found[2].decode(errors="replace") if found else ""

    def number(self, path: str, default: int = 0) -> int:
        text = self.read(path)
        try:
            return int(text) if text is not None else default
        except ValueError:
            return default

    def read_only(self, path: str) -> bool:
        """Whether not even root may write there. Others do not get to know."""
        return self.live and os.geteuid() == 0 and not os.access(self.at(path), os.W_OK)

    def exists(self, path: str) -> bool:
        found = os.path.lexists(self.at(path))
        if found and self.captured is not None:
            self.captured.setdefault(path, None)
        return found

    def link(self, path: str) -> str:
        """Where a symbolic link leads; empty where there is none. Kept as text in a captured tree."""
        try:
            found = str(self.at(path).readlink())
        except OSError:
            return "" if self.live else self.read(path) or ""
        if self.captured is not None:
            self.captured[path] = found.encode()
        return found

    def real(self, path: str) -> str:
        """Where a path leads to through symbolic links; those of a captured tree stay within it."""
        for _ in range(LINKS_MAX):
            place = self.at(path)
            if not place.is_symlink():
                break
            path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(place)))  # noqa: PTH115, PTH118, PTH120
        return path

    def names(self, path: str, pattern: str = "*") -> list[str]:
        """What stands in a folder, numbers in names in their order; empty where there is no such folder."""
        try:
            found = os.listdir(self.at(path))  # noqa: PTH208 - names only, and the kernel's folders are many
        except OSError:
            return []
        fitting = sorted(fnmatch.filter(found, pattern), key=natural)
        if self.captured is not None:
            for name in fitting:
                self.captured.setdefault(f"{path}/{name}", None)
        return fitting


def natural(name: str) -> list[tuple[int, str]]:
    """`cpu2` before `cpu10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def capture(host: Host, folder: Path) -> int:
    """Write all that was read since `host.captured` was set as a tree that is a root itself; returns how many files."""
    files = 0
    for path, data in sorted((host.captured or {}).items()):
        place = folder / path.lstrip("/")
        if data is None and host.at(path).is_dir():
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data or b"")
        if host.at(path).exists():
            place.chmod(
                host.at(path).stat().st_mode & 0o777 | 0o600
            )  # what others may not read there, they may not here
        files += 1
    return files
