"""What is in an image: every file of it, and every byte of what `docker save` gives away."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from collections.abc import Iterable

from tests.lab.docker.engine import Engine

PIECE_BYTES = 1 << 22
# Docker itself puts these into every container.
DOCKERS = {".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"}


def manifest(engine: Engine, reference: str) -> dict[str, tuple[object, ...]]:
    """Kind, mode, owner and content of every file, by its path. Times are left out: they say when, not what."""
    made = engine.docker("create", "--network", "none", reference).stdout.strip()
    found: dict[str, tuple[object, ...]] = {}
    try:
        with (
            subprocess.Popen(["docker", "export", made], stdout=subprocess.PIPE, env=engine.env) as exported,
            tarfile.open(fileobj=exported.stdout, mode="r|") as archive,
        ):
            for member in archive:
                name = member.name.removeprefix("./").rstrip("/")
                content = archive.extractfile(member) if member.isfile() else None
                said = hashlib.file_digest(content, "sha256").hexdigest() if content else member.linkname
                if name not in DOCKERS:
                    found[name] = (member.type, oct(member.mode), member.uid, member.gid, said)
    finally:
        engine.docker("rm", "-fv", made)
    return found


def saved(engine: Engine, reference: str, wanted: Iterable[bytes]) -> set[bytes]:
    """Which of these strings stand anywhere in it: in a layer, in its configuration or its history."""
    left, found, before = set(wanted), set[bytes](), b""
    longest = max(map(len, left))
    with subprocess.Popen(["docker", "save", reference], stdout=subprocess.PIPE, env=engine.env) as written:
        assert written.stdout is not None
        while piece := written.stdout.read(PIECE_BYTES):
            here = before + piece
            found |= {one for one in left if one in here}
            before = here[-longest:]
    if written.returncode:
        raise RuntimeError(f"docker save {reference} ended with {written.returncode}")
    return found


def ours(engine: Engine) -> list[str]:
    """Every image that is built of our sources, by one of its names."""
    listed = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    return [name for name in listed if "hftctl/" in name]
