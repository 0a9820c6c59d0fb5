"""When a partition's snapshots are taken, and what became of them.

Every `snapshot_commands` commands another process takes one (snapshot.py), so that no order waits: this one only starts it,
from a thread, without being copied (vfork). One at a time, and after each a pause of four times as long as it took, so that
it has at most a fifth of a disk and a core to itself. At a clean stop, when nothing else is to be done, this process writes
its own memory down if the next start would have to replay more than half of that many commands.

One that a person asks for (a drain, before maintenance) is taken at once, of what stands at that moment, and is read back
from its file: `verified` moves there only when it comes to the same state as the running book.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from stack.matcher.snapshot_file import write_snapshot
from stack.settings import EngineSettings

if TYPE_CHECKING:
    from engine.matching import Engine
    from stack.matcher.partition import Partition

logger = logging.getLogger(__name__)

EVERY_S = 0.25  # it is looked whether one is due
REST = 4  # times as long as the last one took


class Recovery(NamedTuple):
    """How this process came to where the journal stood."""

    from_snapshot: int = 0  # sequence; 0: none
    replayed: int = 0  # commands
    took_s: float = 0.0
    skipped: tuple[str, ...] = ()  # snapshots that could not be used, and why


@dataclass
class SnapshotCounts:
    newest: int = 0  # sequence
    verified: int = 0  # sequence of the newest that was read back from its file and found to be what the book is
    taken: int = 0  # by this process, as the next one
    failed: int = 0
    took_s: float = 0.0  # the last one
    bytes: int = 0
    error: str = ""  # of the last one, empty when it went well
    running: bool = field(default=False)


class Snapshots:
    def __init__(self, partition: Partition, settings: EngineSettings, config: Path) -> None:
        self._partition = partition
        self._settings = settings
        self._config = config
        self._counts = partition.snapshots
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Future[tuple[int, bytes, bytes]] | None = None
        self._rests_until_s = 0.0
        self._closed = False
        self._wanted = False  # by a person
        self.on = bool(settings.snapshot_commands) and partition.engine.implementation == "cython"

    def look(self) -> None:
        """Called now and then: is it time for one?"""
        partition, counts = self._partition, self._counts
        if counts.running or partition.stopped:
            return
        if self._wanted:
            self._wanted, counts.running = False, True
            sequence, state_hash = partition.engine.sequence, partition.engine.state_hash()
            partition.when_durable(lambda: self._start(sequence, state_hash), lambda: None)
            return
        due = partition.durable_sequence - counts.newest >= self._settings.snapshot_commands
        if self.on and due and time.monotonic() >= self._rests_until_s:
            counts.running = True
            self._start(partition.durable_sequence)

    def want(self) -> None:
        """Take one of what stands now, or stands when the one that is being taken is done. Raises ValueError where none can be."""
        if self._partition.engine.implementation != "cython":
            raise ValueError("the plain-Python engine has no snapshots: its start replays the whole journal")
        self._wanted = True
        self._counts.error = ""
        self.look()

    def _start(self, until: int, state_hash: int | None = None) -> None:
        """`state_hash` of the running book at that command: the file is read back and compared with it."""
        started_s = time.monotonic()
        loop = asyncio.get_running_loop()
        self._task = loop.run_in_executor(None, self._run, until, state_hash is not None)
        self._task.add_done_callback(lambda done: self._ended(done, time.monotonic() - started_s, state_hash))

    def _run(self, until: int, read_back: bool) -> tuple[int, bytes, bytes]:
        if self._closed:
            return 1, b"", b"the engine is stopping"
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "stack.matcher.snapshot",
                "--config", str(self._config), "--until", str(until), "--parent", str(os.getpid()),
                *(["--read-back"] if read_back else []),
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = self._process.communicate()
        return self._process.returncode, out, err

    def _ended(self, done: asyncio.Future[tuple[int, bytes, bytes]], took_s: float, state_hash: int | None) -> None:
        self._task = self._process = None
        self._rests_until_s = time.monotonic() + REST * took_s
        counts = self._counts
        counts.running = False
        if self._closed or done.cancelled():
            return
        try:
            code, out, err = done.result()
            if code != 0:
                lines = err.decode("utf-8", "replace").strip().splitlines()
                raise RuntimeError(lines[-1] if lines else f"it ended with exit code {code}")
            taken = msgspec.json.decode(out)
            if state_hash is not None and taken["state_hash"] != state_hash:
                raise RuntimeError(
                    f"the snapshot of command {taken['sequence']} comes to state {taken['state_hash']:x} and the running "
                    f"engine to {state_hash:x}: what runs is not what its journal says"
                )
        except (OSError, RuntimeError, msgspec.DecodeError) as error:
            counts.failed += 1
            counts.error = str(error)
            logger.error("no snapshot could be taken, a start replays more than it should: %s", error)
            return
        finally:
            if self._wanted:
                self.look()
        if state_hash is not None:
            counts.verified = taken["sequence"]
        counts.newest, counts.bytes = taken["sequence"], taken.get("bytes", counts.bytes)
        counts.taken += 1
        counts.took_s, counts.error = took_s, ""
        logger.info("took a snapshot", extra={"fields": taken})

    async def close(self) -> None:
        """End one that is being taken. Nothing of it stays but a file that the next start deletes."""
        self._closed = True
        if self._process is not None:
            self._process.kill()
        if self._task is not None:
            await asyncio.wait([self._task])

    def take_at_stop(self) -> None:
        """The partition is closed, everything it took is durable and logged. Its failing costs the next start time, no more."""
        partition, counts = self._partition, self._counts
        since = partition.durable_sequence - counts.newest
        if not self.on or partition.failed or since < self._settings.snapshot_commands / 2:
            return
        started_s = time.monotonic()
        data_dir = Path(self._settings.data_dir)
        try:
            point = partition.point()
            described = write_snapshot(
                data_dir,
                cast("Engine", partition.engine),
                point,
                partition=partition.number,
                max_live_orders=self._settings.max_live_orders,
            )
        except OSError as error:
            logger.error("no snapshot could be taken at the stop, the next start replays more: %s", error)
            return
        taken: dict[str, Any] = {"sequence": point.sequence, "bytes": described.bytes}
        logger.info(
            "took a snapshot at the stop",
            extra={"fields": taken | {"took_s": round(time.monotonic() - started_s, 3)}},
        )
