"""The rehearsal's initramfs: our own first program and its orders, nothing of any distribution. Made without root."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

DIRECTORY, FILE, DEVICE = 0o040755, 0o100755, 0o020600
CONSOLE = (5, 1)
REPORT = (4, 65)  # ttyS1
TRAILER = "TRAILER!!!"


def build(init: bytes, orders: Sequence[str]) -> bytes:
    """A gzipped cpio archive in the kernel's own (newc) format. Device files are entries like others, so no mknod."""
    parts = [_entry(number, name, DIRECTORY) for number, name in enumerate(("dev", "proc", "sys"), 1)]
    parts += [
        _entry(4, "dev/console", DEVICE, device=CONSOLE),
        _entry(5, "dev/report", DEVICE, device=REPORT),
        _entry(6, "init", FILE, init),
        _entry(7, "orders", FILE, "".join(f"{order}\n" for order in orders).encode()),
        _entry(0, TRAILER, 0),
    ]
    return gzip.compress(b"".join(parts), 6, mtime=0)


def _entry(number: int, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
