"""Pull events from the engine, write them, again and again.

Pulling is the back-pressure: while PostgreSQL is away exactly one batch is held, whatever the engine does. Every failure
that may pass is tried again for as long as it takes; after each, the checkpoint in the database says what is true.
Only two things end the work by themselves: somebody else moved the checkpoint, or the two sides do not belong together.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from engine.records import EVENT_BYTES, Event
from stack.persister import metrics
from stack.persister.database import RETRIED, Batch, Checkpoint, Conflict, Damage, Database
from stack.settings import PersisterSettings
from stack.wire.frames import FRAME_BYTES_MAX
from stack.wire.link import Answer, Link, LinkLost, QueryRefused

logger = logging.getLogger(__name__)

BACKOFF_MIN_S = 0.05
BACKOFF_MAX_S = 2.0
PULL_WAIT_MS = 1000
BATCH_EVENTS_MAX = (FRAME_BYTES_MAX - 65_536) // EVENT_BYTES
T = TypeVar("T")


class Stopping(Exception):
    """We were asked to stop while waiting for something."""


class Persister:
    def __init__(
        self, settings: PersisterSettings, link: Link, database: Database, written: Callable[[bytes], object]
    ) -> None:
        """`written` is told of the events of every committed batch; it must not wait."""
        self._partition = settings.partition
        self._limit = min(settings.batch_events, BATCH_EVENTS_MAX)
        self._idle_s = settings.idle_ms / 1000
        self._link = link
        self._database = database
        self._written = written
        self._stop = asyncio.Event()
        self._labels = (settings.component, str(settings.partition))
        self._failing: dict[str, str] = {}  # what does not work, and why: said once, not with every attempt
        self._end = 0  # how many events the engine has
        metrics.lag_events.labels(*self._labels).set(0)
        metrics.lag_seconds.labels(*self._labels).set(0)

    def stop(self) -> None:
        """Finish the batch that is being written, then end."""
        self._stop.set()

    async def run(self) -> None:
        """Until `stop`; raises Conflict and Damage."""
        try:
            checkpoint = await self._open()
            logger.info("partition %d: writing from sequence %d", self._partition, checkpoint.sequence + 1)
            while not self._stop.is_set():
                began = time.monotonic()
                batch = await self._pull(checkpoint)
                if batch is not None:
                    checkpoint = await self._write(batch)
                if batch is None or len(batch.events) < self._limit * EVENT_BYTES // 2:
                    await self._pause(self._idle_s - (time.monotonic() - began))  # few events: gather more at a time
        except Stopping:
            logger.info("partition %d: stopped", self._partition)
        finally:
            self._database.close()

    async def _pull(self, checkpoint: Checkpoint) -> Batch | None:
        """The events after the checkpoint; None when there are none for a while, or no engine."""
        try:
            answer = await self._unless_stopped(self._query(checkpoint.ordinal))
        except (LinkLost, QueryRefused) as error:
            self._failed("engine", error)
            await self._unless_stopped(self._link.wait_connected())
            await self._pause(BACKOFF_MAX_S if isinstance(error, QueryRefused) else BACKOFF_MIN_S)
            return None
        self._mended("engine")
        end, events = answer.document["end"], answer.data
        if end < checkpoint.ordinal:
            raise Damage(
                f"partition {self._partition}: PostgreSQL has {checkpoint.ordinal} events up to sequence "
                f"{checkpoint.sequence}, the engine only {end}: this database belongs to another journal, or the journal "
                "lost its end"
            )
        self._end = end
        self._lag(checkpoint.ordinal, events)
        if not events:
            return None
        first = Event.unpack(events)
        last = Checkpoint(
            Event.unpack(events, len(events) - EVENT_BYTES).sequence, checkpoint.ordinal + len(events) // EVENT_BYTES
        )
        if (first.sequence, first.index) != (checkpoint.sequence + 1, 0) or answer.document["next"] != last.ordinal:
            raise Damage(
                f"partition {self._partition}: event {checkpoint.ordinal} should be the first of sequence "
                f"{checkpoint.sequence + 1}, the engine has {first.sequence}.{first.index} there: this database belongs to "
                "another journal"
            )
        return Batch(checkpoint, last, events)

    async def _query(self, ordinal: int) -> Answer:
        return await self._link.query("events", **{"from": ordinal}, limit=self._limit, wait_ms=PULL_WAIT_MS)

    async def _write(self, batch: Batch) -> Checkpoint:
        """Try until it stands, and return where to go on. Not interrupted by `stop` while PostgreSQL answers."""
        while True:
            try:
                await self._database.write(batch)
            except RETRIED as error:
                self._failed("postgres", error)
                stands = await self._open(batch)
                if stands == batch.first:
                    continue
                if stands.sequence < batch.first.sequence:
                    # PostgreSQL has crashed and taken back its newest commits, rows and checkpoint together
                    logger.info("partition %d: writing again from sequence %d", self._partition, stands.sequence + 1)
                    return stands
                if stands != batch.last:
                    raise Conflict(
                        f"partition {self._partition}: expected the checkpoint at sequence {batch.first.sequence}, it stands "
                        f"at {stands.sequence}: another persister writes this partition"
                    ) from error
                # the connection broke after the commit and before its answer
            self._mended("postgres")
            count = len(batch.events) // EVENT_BYTES
            metrics.rows.labels(*self._labels).inc(count)
            metrics.batches.labels(*self._labels).inc()
            self._lag(batch.last.ordinal, b"")
            self._written(batch.events)
            return batch.last

    async def _open(self, held: Batch | None = None) -> Checkpoint:
        """Connect, for as long as it takes; raises Stopping. `held` is the batch that waits for it."""
        pause_s = BACKOFF_MIN_S
        while True:
            self._database.close()
            try:
                return await self._unless_stopped(self._database.open())
            except RETRIED as error:
                self._failed("postgres", error)
            if held is not None:
                await self._measure(held)
            await self._pause(pause_s)
            pause_s = min(2 * pause_s, BACKOFF_MAX_S)

    async def _unless_stopped(self, work: Awaitable[T]) -> T:
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Stopping
            return task.result()
        finally:
            for pending in (task, stopped):
                pending.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)
        if self._stop.is_set():
            raise Stopping

    async def _measure(self, held: Batch) -> None:
        """How far behind we are while nothing can be written."""
        with suppress(LinkLost, QueryRefused):
            answer = await self._unless_stopped(
                self._link.query("events", **{"from": held.first.ordinal}, limit=1, wait_ms=0)
            )
            self._end = answer.document["end"]
        self._lag(held.first.ordinal, held.events)

    def _lag(self, ordinal: int, waiting: bytes) -> None:
        """`waiting` begins with the oldest event that is not written; empty when there is none."""
        metrics.lag_events.labels(*self._labels).set(max(self._end - ordinal, 0))
        age_s = time.time() - Event.unpack(waiting).time_ns / 1e9 if waiting else 0.0
        metrics.lag_seconds.labels(*self._labels).set(max(age_s, 0.0))

    def _failed(self, what: str, error: BaseException) -> None:
        metrics.errors.labels(*self._labels, what).inc()
        why = f"{type(error).__name__}: {error}"
        if self._failing.get(what) != why:
            self._failing[what] = why
            logger.warning("partition %d: %s does not work, trying on: %s", self._partition, what, why)

    def _mended(self, what: str) -> None:
        if self._failing.pop(what, None):
            logger.info("partition %d: %s works again", self._partition, what)
