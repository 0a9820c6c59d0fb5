"""The kernel to rehearse with: the one that this host runs, or a file; and what it was built with, where that stands."""

from __future__ import annotations

import gzip
import platform
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hftctl.errors import NotFound, UsageError

MAGIC_OFFSET, MAGIC = 0x202, b"HdrS"
VERSION_POINTER_OFFSET = 0x20E
SETUP_BYTES = 0x200
HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class KernelImage:
    path: Path
    release: str


def find(given: Path | None, running: str, root: Path = Path("/")) -> KernelImage:
    """`running`: the release that the host below `root` runs. Raises NotFound when there is no image that we may read,
    UsageError when the file is no kernel."""
    if given is not None:
        return KernelImage(given, _release(given))
    refused: list[str] = []
    for path in _places(root, running):
        try:
            return KernelImage(path, _release(path))
        except NotFound as error:
            refused.append(error.message)
    unreadable = next((message for message in refused if "ermission" in message), "")
    raise NotFound(
        unreadable
        or f"no kernel image of {running} on this host (looked for {', '.join(map(str, _places(root, running)))})",
        hint=f"name one: hftctl tune rehearse --kernel FILE; where only root may read it: "
        f"sudo install -m 644 /boot/vmlinuz-{running} /tmp/vmlinuz",
    )


def _places(root: Path, release: str) -> Iterator[Path]:
    yield root / "boot" / f"vmlinuz-{release}"
    yield root / "lib/modules" / release / "vmlinuz"
    yield root / "usr/lib/modules" / release / "vmlinuz"
    yield root / "boot" / f"vmlinuz-linux{'-lts' if release.endswith('-lts') else ''}"


def _release(path: Path) -> str:
    """As `uname -r` will say it. From the head of the image."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise NotFound(
            f"cannot read the kernel {path}: {error.strerror}", hint="hftctl tune rehearse --kernel FILE"
        ) from error
    if head[MAGIC_OFFSET : MAGIC_OFFSET + len(MAGIC)] != MAGIC:
        raise UsageError(
            f"{path} is no x86 kernel that can be booted (no bzImage)",
            hint="hftctl tune rehearse --kernel /boot/vmlinuz-...",
        )
    (pointer,) = struct.unpack_from("<H", head, VERSION_POINTER_OFFSET)
    text = head[pointer + SETUP_BYTES :].partition(b"\0")[0] if pointer else b""
    return text.decode("ascii", "replace").partition(" ")[0]


def config(release: str, beside: Path, root: Path) -> dict[str, str]:
    """What the kernel was built with (NO_HZ_FULL -> y), by the files that distributions lay beside it, and for the one that
    runs by what it says itself; empty when nothing tells."""
    for path in (
        beside / f"config-{release}",
        root / "boot" / f"config-{release}",
        beside / "config",
        root / "lib/modules" / release / "config",
    ):
        try:
            return _values(path.read_text(encoding="ascii", errors="replace"))
        except OSError:
            continue
    if release != platform.release():
        return {}
    try:
        return _values(gzip.decompress((root / "proc/config.gz").read_bytes()).decode("ascii", "replace"))
    except (OSError, EOFError, zlib.error):
        return {}


def _values(text: str) -> dict[str, str]:
    return dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE))
