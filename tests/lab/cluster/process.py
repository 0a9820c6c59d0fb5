"""Processes that outlive the command that started them, known by process id and start time, each with a log of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

END_S = 20.0
# Those that this process started: they are not waited for, and outlive it.
STARTED: list[subprocess.Popen[bytes]] = []


def started_at(pid: int) -> int | None:
    """In clock ticks since boot; None for what is not there or has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(one) for one in path.read_text().split()]
    return found


@dataclass(frozen=True)
class Daemon:
    """One that is started behind `unshare` or `nsenter`: the process meant is their child, which has the program's name."""

    name: str
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def pid(self) -> int | None:
        """As this machine counts, while it runs."""
        try:
            pid, when = map(int, self._record.read_text().split())
        except (FileNotFoundError, ValueError):
            return None
        return pid if started_at(pid) == when else None

    def start(self, words: Sequence[str | Path], env: Mapping[str, str]) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            door = subprocess.Popen(words, env=dict(env), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    start_new_session=True, cwd="/")  # fmt: skip
        STARTED.append(door)
        deadline = time.monotonic() + END_S
        while not (found := children(door.pid)):
            if door.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{self.last_words()}")
            time.sleep(0.01)
        if (when := started_at(found[0])) is None:
            raise RuntimeError(f"{self.name} ended at once:\n{self.last_words()}")
        part = self._record.with_suffix(".part")
        part.write_text(f"{found[0]} {when}\n")
        part.rename(self._record)
        return found[0]

    def stop(self, how: int = signal.SIGTERM) -> None:
        if pid := self.pid:
            with suppress(ProcessLookupError):
                os.kill(pid, how)
            deadline = time.monotonic() + END_S
            while self.pid and time.monotonic() < deadline:
                time.sleep(0.02)
            if self.pid:
                if how == signal.SIGKILL:
                    raise RuntimeError(f"{self.name}, process {pid}, is still there {END_S:g} s after it was killed")
                self.stop(signal.SIGKILL)
        self._record.unlink(missing_ok=True)

    def last_words(self, lines: int = 12) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""
