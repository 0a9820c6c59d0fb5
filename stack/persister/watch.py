"""How far behind the persister is and what keeps it from writing: in metrics, in its log, and in a file for `status`.

Looked at every second beside the writing, so that it is told too while PostgreSQL neither answers nor refuses; what begins or
ends to be trouble is told at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.records import Event
from stack.persister import metrics
from stack.persister.database import Checkpoint
from stack.settings import PersisterSettings
from stack.wire.link import Link, LinkLost, QueryRefused

logger = logging.getLogger(__name__)

LOOK_S = 1.0
SLOW_S = 3.0  # without an answer for so long, PostgreSQL does not work


class Watch:
    def __init__(self, settings: PersisterSettings, link: Link) -> None:
        self._partition = settings.partition
        self._link = link
        self._file = Path(settings.state_file) if settings.state_file else None
        self._labels = (settings.component, str(settings.partition))
        self._failing: dict[str, tuple[int, str]] = {}  # what does not work, since when, and why
        self._written: Checkpoint | None = None  # None: not known yet
        self._asked_s = 0.0  # since when PostgreSQL owes an answer; 0: it does not
        self._behind = 0
        self._oldest_ns = 0  # time of the first event that is not written; 0: all are
        self._unwritable = ""
        metrics.lag_events.labels(*self._labels).set(0)
        metrics.lag_seconds.labels(*self._labels).set(0)

    def failed(self, what: str, error: BaseException) -> None:
        """Said once, not with every attempt."""
        metrics.errors.labels(*self._labels, what).inc()
        if what == "postgres":
            self._asked_s = 0.0  # it has answered, in its way
        self._fails(what, f"{type(error).__name__}: {error}")

    def mended(self, what: str) -> None:
        if found := self._failing.pop(what, None):
            away_s = (time.time_ns() - found[0]) / 1e9
            logger.info("partition %d: %s works again, after %.1f s", self._partition, what, away_s)
            self._tell()  # at once: who sees the rows of what was held up asks next how we are

    def writing(self) -> None:
        self._asked_s = time.monotonic()

    def stands(self, checkpoint: Checkpoint, end: int) -> None:
        """PostgreSQL has everything up to here, of `end` events that the engine has, where that is known."""
        self._asked_s = 0.0
        self._written = checkpoint
        self._lag(max(end - checkpoint.ordinal, 0), 0 if end <= checkpoint.ordinal else self._oldest_ns)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self._asked_s and (waits_s := time.monotonic() - self._asked_s) > SLOW_S:
                self._fails("postgres", "no answer", f"no answer for {waits_s:.0f} s")
            with suppress(LinkLost, QueryRefused, TimeoutError):
                async with asyncio.timeout(SLOW_S):
                    await self._look()
            self._publish()
            self._tell()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        ordinal = self._written.ordinal if self._written else 0
        answer = await self._link.query("events", **{"from": ordinal}, limit=1, wait_ms=0)
        if self._written is None or self._written.ordinal == ordinal:
            oldest_ns = Event.unpack(answer.data).time_ns if answer.data else 0
            self._lag(max(answer.document["end"] - ordinal, 0), oldest_ns)

    def _lag(self, behind: int, oldest_ns: int) -> None:
        self._behind, self._oldest_ns = behind, oldest_ns

    def _publish(self) -> None:
        metrics.lag_events.labels(*self._labels).set(self._behind)
        age_s = time.time() - self._oldest_ns / 1e9 if self._oldest_ns else 0.0
        metrics.lag_seconds.labels(*self._labels).set(max(age_s, 0.0))

    def _fails(self, what: str, why: str, shown: str = "") -> None:
        since_ns, before = self._failing.get(what, (time.time_ns(), ""))
        self._failing[what] = since_ns, why
        if before != why:
            logger.warning("partition %d: %s does not work, trying on: %s", self._partition, what, shown or why)
            self._tell()

    def _tell(self) -> None:
        if self._file is None:
            return
        state: dict[str, Any] = {
            "pid": os.getpid(),
            "time_ns": time.time_ns(),
            "failing": [
                {"what": what, "since_ns": since_ns, "why": why} for what, (since_ns, why) in self._failing.items()
            ],
            "written_sequence": self._written.sequence if self._written else None,
            "lag_events": self._behind,
            "oldest_ns": self._oldest_ns,
        }
        part = self._file.with_suffix(".part")
        try:
            part.write_text(json.dumps(state))
            part.replace(self._file)
        except OSError as error:
            if self._unwritable != str(error):
                self._unwritable = str(error)
                logger.warning("status cannot be told in %s: %s", self._file, error)
