"""Files that a boot loader reads: replaced so that it finds the whole old or the whole new one, wherever the power goes.

A boot loader reads a disk as it lies there, and knows nothing of a file system's journal. What was synced may stand in that
journal only: then it still finds the old name, and behind it blocks that somebody else may have got since. So the new
file is in its place on the disk before it gets the name, and the old one keeps its blocks until the name is there too.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hftctl.paths import sync_folder

PLACES = re.compile(r"/(boot|efi)/")
CHECKPOINT = 0x4004662B  # EXT4_IOC_CHECKPOINT, since Linux 5.14
FREEZE, THAW = 0xC0045877, 0xC0045878
MOUNTS = Path("/proc/self/mountinfo")
UNKNOWN = {errno.ENOTTY, errno.EOPNOTSUPP, errno.ENODEV}  # to this file system, or to this kernel of it
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}  # FAT has none


def read_by_loader(where: str) -> bool:
    return bool(PLACES.match(where))


def replace(new: Path, path: Path, *, on_disk: bool) -> None:
    """`new` is whole and synced. `on_disk`: not for a captured tree, which nothing is started from."""
    try:
        if on_disk:
            in_place(path.parent)
        _keep(path)
        os.rename(new, path)  # noqa: PTH104
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    _let_go(path, on_disk=on_disk)


def settle(path: Path, *, on_disk: bool) -> None:
    """After a death: it may have been the moment before a boot loader finds the new one."""
    if os.path.lexists(path.with_name(kept(path.name))):
        _let_go(path, on_disk=on_disk)


def _keep(path: Path) -> None:
    """The blocks of the file before, by a second name."""
    old = path.with_name(kept(path.name))
    with suppress(FileNotFoundError):
        os.unlink(old)  # noqa: PTH108
    try:
        os.link(path, old)
    except FileNotFoundError:
        pass  # there was none
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise


def _let_go(path: Path, *, on_disk: bool) -> None:
    """Of the file before, once the new one is where a boot loader looks."""
    sync_folder(path.parent)
    if on_disk:
        in_place(path.parent)
    with suppress(FileNotFoundError):
        os.unlink(path.with_name(kept(path.name)))  # noqa: PTH108
    sync_folder(path.parent)


def kept(name: str) -> str:
    return f".{name}.hftctl-old"


def in_place(folder: Path) -> None:
    """All that was written to this file system is where a reader without its journal looks."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        ctypes.CDLL(None, use_errno=True).syncfs(handle)
        if not _done(lambda: fcntl.ioctl(handle, CHECKPOINT, struct.pack("I", 0))) and _journalled_apart(folder):
            _done(lambda: fcntl.ioctl(handle, THAW, 0))  # where somebody died between the two
            try:
                _done(lambda: fcntl.ioctl(handle, FREEZE, 0))
            finally:
                _done(lambda: fcntl.ioctl(handle, THAW, 0))
    finally:
        os.close(handle)


def _done(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except OSError as error:
        if error.errno in UNKNOWN | {errno.EINVAL, errno.EBUSY}:
            return False
        raise
    return True


def _journalled_apart(folder: Path) -> bool:
    """XFS, or ext4 of an older kernel, which only a freeze has write out its journal; never that of the root, which we run from."""
    device = folder.stat().st_dev
    if device == Path("/").stat().st_dev:
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    lines = (line.split() for line in MOUNTS.read_text().splitlines())
    return any(words[2] == number and words[words.index("-") + 1] in {"xfs", "ext4", "ext3"} for words in lines)
