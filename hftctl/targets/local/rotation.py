"""Logs are bounded: a file over the limit is renamed and opened anew, and only the newest few are kept.

Our services and Valkey see the rename by themselves, nginx is told by signal. The `.out` file of a component is its standard
output, which nobody can open anew in a running process: it is copied and emptied, so a line written between the two may be
lost there. It is PostgreSQL's log, and of the others what they say before their log is open, or when they die.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from hftctl.targets.local.process import Process, Record

CHECK_S = 30.0
ROTATE_BYTES = 32 << 20
KEPT = 4


def rotate(logs: Path, process: Process, record: Record | None, limit: int = ROTATE_BYTES) -> list[str]:
    """Returns the names of the files it rotated."""
    rotated = []
    out = logs / f"{process.component}.out"
    if _size(out) > limit:
        _shift(out)
        shutil.copyfile(out, out.with_name(f"{out.name}.1"))
        os.truncate(out, 0)
        rotated.append(out.name)
    renamed = [name for name in process.logs if _size(logs / name) > limit]
    for name in renamed:
        _shift(logs / name)
        (logs / name).rename(logs / f"{name}.1")
    if renamed and process.reopen and record is not None and record.alive:
        os.kill(record.identity.pid, getattr(signal, process.reopen))
    return rotated + renamed


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _shift(path: Path) -> None:
    for number in range(KEPT - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
