"""hftctl and what it imports as a tar file, which the guest sees as its second disk and unpacks."""

from __future__ import annotations

import os
import re
import tarfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGES = ("hftctl", "profiles")
NEEDED = ("typer", "pyyaml", "pydantic", "psutil")  # what `hftctl tune` imports, and what these need
DISK_BYTES = (
    96 << 20
)  # always the same: the guest goes on from a snapshot that was taken with an empty disk in this place
DESTINATION = "/opt/hftctl"
PATH_FILE = "/usr/lib/python3/dist-packages/hftctl.pth"
COMMAND = "/usr/local/bin/hftctl"
UNPACK = (
    f"set -e; mkdir -p {DESTINATION}; dd if=/dev/vdb iflag=direct bs=1M status=none | tar x --warning=no-timestamp -C {DESTINATION}; "
    f"printf '{DESTINATION}/ours\\n{DESTINATION}/theirs\\n' > {PATH_FILE}; "
    f"printf '#!/bin/sh\\nexec /usr/bin/python3 -m hftctl \"$@\"\\n' > {COMMAND}; chmod 755 {COMMAND}; hftctl --version; sync"
)


def pack(place: Path) -> Path:
    with tarfile.open(place, "w", format=tarfile.GNU_FORMAT) as tar:
        for package in PACKAGES:
            tar.add(ROOT / package, f"ours/{package}", filter=_kept)
        for name in sorted(_closure(NEEDED)):
            for file in metadata.files(name) or ():
                source = Path(str(file.locate()))
                if ".." not in file.parts and source.is_file():
                    tar.add(source, f"theirs/{file}")
    assert place.stat().st_size <= DISK_BYTES, f"{place.stat().st_size} bytes of software: a larger disk is needed"
    os.truncate(place, DISK_BYTES)
    return place


def blank(place: Path) -> Path:
    """A disk without software."""
    with place.open("wb") as disk:
        disk.truncate(DISK_BYTES)
    return place


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    # With what Python made of it already: by emulation that takes a minute.
    return None if entry.name.endswith((".c", ".pyx", ".pxd")) else entry


def _closure(names: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name in found:
            continue
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # of another platform
        found.add(name)
        left += [re.split(r"[ ;\[<>=!~(]", need, maxsplit=1)[0] for need in needs if "extra ==" not in need]
    return found
