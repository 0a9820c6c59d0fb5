"""A store of one deployment's backups: a folder, which may be a mounted one.

    STORE/<deployment>/objects/ab/<sha256 of the content>.zst    written once, never changed
    STORE/<deployment>/backups/<id>.json                         a manifest: see manifest.py
    STORE/<deployment>/drills/                                   reports of drills
    STORE/<deployment>/lock                                      held alone by who writes, shared by who reads

An object that has its name is whole and on disk. What a killed backup had copied is therefore found by the next one and
not copied again, and what no manifest names is no backup. One that is found damaged loses its name (`.damaged` behind it), so
that the next backup copies its content again.
"""

from __future__ import annotations

import errno
import hashlib
import shlex
from contextlib import suppress
from pathlib import Path

from hftctl.errors import DamageFound, Failed, HftctlError, NotFound
from hftctl.paths import check_name, make_folder, sync_folder, write_atomic

LEVEL = 3  # of zstd: 6 is a tenth smaller and takes three times as long
SUFFIX = ".zst"
CONTENT_BYTES_MAX = 64 << 20


class Store:
    def __init__(self, folder: Path, deployment: str) -> None:
        self.folder = folder
        self.deployment = check_name(deployment)
        self.root = folder / deployment
        self.objects = self.root / "objects"
        self.backups = self.root / "backups"
        self.drills = self.root / "drills"
        self.lock = self.root / "lock"
        self.named = f"--store {shlex.quote(str(folder))} -p {deployment}"  # for commands to type

    def make(self) -> None:
        """Raises Failed where the folder is not there: a mount that is away must not be filled underneath."""
        if not self.folder.is_dir():
            raise NotFound(
                f"cannot use the store {self.folder}: there is no such folder",
                hint=f"mount it, or make it: mkdir -m 0700 {self.folder}",
            )
        try:
            for folder in (self.root, self.objects, self.backups, self.drills):
                _made(folder)
        except OSError as error:
            raise self.failed(error) from error

    def sweep(self) -> None:
        """Take away what killed ones had half written. For who holds the lock alone."""
        for half in (*self.objects.glob("*/.*"), *self.backups.glob(".*"), *self.drills.glob(".*")):
            half.unlink(missing_ok=True)

    def failed(self, error: OSError) -> HftctlError:
        """What to raise for an error of the file system."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Failed(
                f"the store {self.folder} is full: {error.strerror}. Backups that are there stay as they are, this one does not exist; "
                "what it had copied is not copied again",
                hint=f"make room on {self.folder}, or use another folder: --store DIR",
            )
        return Failed(
            f"cannot write to the store {self.folder}: {error.strerror} ({error.filename})",
            hint=f"look at it: ls -ld {self.root}",
        )

    def path(self, name: str) -> Path:
        return self.objects / name[:2] / f"{name}{SUFFIX}"

    def has(self, name: str) -> bool:
        return self.path(name).is_file()

    def put(self, content: bytes) -> tuple[str, int]:
        """Its name, and how many bytes were written: 0 when it was there already. Raises Failed."""
        import zstandard  # as late as a backup begins: `hftctl --help` needs none

        name = hashlib.sha256(content).hexdigest()
        if self.has(name):
            return name, 0
        packed = zstandard.ZstdCompressor(level=LEVEL).compress(content)
        try:
            _made(self.path(name).parent)
            write_atomic(self.path(name), packed, mode=0o600)
        except OSError as error:
            raise self.failed(error) from error
        return name, len(packed)

    def get(self, name: str, what: str) -> bytes:
        """Raises DamageFound, naming the object and `what` of the backup it holds."""
        import zstandard

        path = self.path(name)
        try:
            packed = path.read_bytes()
            content = zstandard.ZstdDecompressor().decompress(packed, max_output_size=CONTENT_BYTES_MAX)
        except FileNotFoundError:
            if self._aside(name).exists():
                raise DamageFound(f"{path} is damaged, it holds {what}: it was found so and set aside") from None
            raise DamageFound(f"{path} is missing: it holds {what}") from None
        except zstandard.ZstdError as error:
            raise self._damaged(name, what, str(error)) from None
        except OSError as error:
            raise NotFound(f"cannot read {path}: {error.strerror}") from error
        found = hashlib.sha256(content).hexdigest()
        if found != name:
            raise self._damaged(name, what, f"its content has the hash {found}")
        return content

    def _damaged(self, name: str, what: str, why: str) -> DamageFound:
        with suppress(OSError):  # a store that cannot be written is told of all the same
            self.path(name).rename(self._aside(name))
        return DamageFound(f"{self.path(name)} is damaged, it holds {what}: {why}")

    def _aside(self, name: str) -> Path:
        return self.path(name).with_suffix(f"{SUFFIX}.damaged")


def deployments(folder: Path) -> list[str]:
    """Whose backups a store holds."""
    return sorted(path.parent.name for path in folder.glob("*/backups") if path.is_dir())


def _made(folder: Path) -> None:
    """Its name is on disk before that of anything in it."""
    there = folder.is_dir()
    make_folder(folder, mode=0o700)
    if not there:
        sync_folder(folder.parent)
