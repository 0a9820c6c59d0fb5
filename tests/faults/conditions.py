"""Under which conditions a report was made: the commit, the machine, and how busy others kept it meanwhile."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Conditions:
    """Made when a run begins; `line()` when it is over."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._load = os.getloadavg()[0]

    def line(self) -> str:
        processors = len(os.sched_getaffinity(0))
        return (
            f"Made on commit {commit()}, {self._began:%Y-%m-%d %H:%M} to {datetime.now(UTC):%H:%M} UTC, {processors} processors; load"
            f" average {self._load:.1f} before, {os.getloadavg()[2]:.1f} over the last quarter of an hour."
        )


def commit() -> str:
    """The short hash, marked where sources differ from it; reports that are being written do not count."""
    short = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!docs/reports")
    return (short + (" with changes" if changed else "")) or "no repository"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
