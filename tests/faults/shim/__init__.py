"""A disk that misbehaves under any program: the environment to start it with. Needs gcc; works where LD_PRELOAD does.

    subprocess.Popen(command, env={**os.environ, **shim.environment(folder, fault="fdatasync:12:errno:5")})

    disk = shim.SlowDisk(folder)      # every sync below `folder` takes longer ...
    subprocess.Popen(command, env={**os.environ, **disk.environment})
    disk.sync_us = 4000               # ... by this much, from now on, in every program that was started so

A whole stack gets it through `hftctl deploy`: its processes pass it on to whatever they start, although the supervisor gives
each component a clean environment (shim.c adds it to every execve). PostgreSQL: under `<home>/<deployment>/data` like the journal.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")


def missing() -> str:
    """Why it cannot be built here; empty when it can."""
    return "" if shutil.which("gcc") else "gcc is not installed"


def library() -> Path:
    """The compiled shim, once per content of its source."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    built = Path(tempfile.gettempdir()) / f"fault-shim-{os.geteuid()}-{digest}.so"
    if not built.exists():
        part = built.with_suffix(f".{os.getpid()}")
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", part, SOURCE, "-ldl"], check=True
        )
        part.rename(built)
    return built


def environment(
    under: Path, *, fault: str = "", only: str = "", fired: Path | None = None, log: Path | None = None,
    drop_syncs: bool = False, slow: Path | None = None, clock: Path | None = None,
) -> dict[str, str]:  # fmt: skip
    """What to add to a program's environment; shim.c says what each word means."""
    given = {
        "under": under.resolve(), "fault": fault, "only": only, "fired": fired, "log": log, "slow": slow,
        "clock": clock,
        "drop_syncs": "1" if drop_syncs else "",
    }  # fmt: skip
    text = ";".join(f"{name}={value}" for name, value in given.items() if value)
    return {"LD_PRELOAD": str(library()), "FAULT_SHIM": text}


class _Word:
    """A number that programs started with `environment` read, and that may change while they run."""

    def __init__(self, under: Path, key: str, kind: str) -> None:
        self._kind = struct.Struct(kind)
        with tempfile.NamedTemporaryFile(prefix=f"fault-shim-{key}-", delete=False) as file:
            file.truncate(mmap.PAGESIZE)
            self._path = Path(file.name)
            self._word = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self._path.chmod(0o644)  # PostgreSQL is another user
        self.environment = environment(under, **{key: self._path})  # type: ignore[arg-type]

    def get(self) -> int:
        return int(self._kind.unpack_from(self._word)[0])

    def set(self, value: int) -> None:
        self._kind.pack_into(self._word, 0, value)

    def close(self) -> None:
        """When nothing that was started with it runs any more."""
        self._word.close()
        self._path.unlink()


class SlowDisk(_Word):
    """Adds `sync_us` to each fsync and fdatasync on files below `under`, and to each wait of sync_file_range."""

    def __init__(self, under: Path, sync_us: int = 0) -> None:
        super().__init__(under, "slow", "=I")
        self.sync_us = sync_us

    @property
    def sync_us(self) -> int:
        return self.get()

    @sync_us.setter
    def sync_us(self, microseconds: int) -> None:
        self.set(microseconds)


class Clock(_Word):
    """Wall clocks say `set(seconds)` more than the real one; monotonic ones, and what the kernel stamps, stay."""

    def __init__(self, under: Path) -> None:
        super().__init__(under, "clock", "=q")
