"""Pull events from the engine, write them, again and again.

While one batch is written the next one is pulled; both are bounded, and pulling is the back-pressure: while PostgreSQL is away
two batches are held, whatever the engine does. Every failure that may pass is tried again for as long as it takes; after each,
the checkpoint in the database says what is true. Only two things end the work by themselves: somebody else writes this
partition, or the two sides do not belong together.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from stack.persister import metrics
from stack.persister.claim import Claimed
from stack.persister.database import RETRIED, Batch, Checkpoint, Conflict, Database
from stack.persister.source import Pulled, Source
from stack.persister.watch import Watch
from stack.settings import PersisterSettings
from stack.wire.link import Link, LinkLost, QueryRefused

logger = logging.getLogger(__name__)

BACKOFF_MIN_S = 0.05
CONNECT_S = 1.0  # within which a link that has just begun is no trouble yet
BACKOFF_MAX_S = 2.0
YIELD_S = 3.0  # a persister that was killed leaves its claim for a moment; who holds it longer is alive
BATCH_EVENTS_MAX = 200_000
T = TypeVar("T")


class Stopping(Exception):
    """We were asked to stop while waiting for something."""


class Persister:
    def __init__(
        self,
        settings: PersisterSettings,
        link: Link,
        database: Database,
        watch: Watch,
        written: Callable[[list[bytes]], object],
    ) -> None:
        """`written` is told of the events of every committed batch; it must not wait."""
        self._partition = settings.partition
        self._idle_s = settings.idle_ms / 1000
        self._link = link
        self._source = Source(link, settings.partition, min(settings.batch_events, BATCH_EVENTS_MAX))
        self._database = database
        self._watch = watch
        self._written = written
        self._stop = asyncio.Event()
        self._labels = (settings.component, str(settings.partition))
        self._ahead: asyncio.Task[Pulled] | None = None
        self._end = 0  # how many events the engine had

    def stop(self) -> None:
        """Finish the batch that is being written, then end."""
        self._stop.set()

    async def run(self) -> None:
        """Until `stop`; raises Conflict and Damage."""
        try:
            checkpoint = await self._open()
            self._watch.mended("postgres")
            logger.info("partition %d: writing from sequence %d", self._partition, checkpoint.sequence + 1)
            with suppress(TimeoutError):  # the link may be as young as this persister, which is no trouble to tell of
                await self._unless_stopped(self._link.wait_connected(CONNECT_S))
            self._pull(checkpoint, 0.0)
            while not self._stop.is_set():
                began = time.monotonic()
                batch = await self._pulled(checkpoint)
                if batch is None:
                    self._pull(checkpoint, 0.0)
                    continue
                few = batch.count < self._source.batch_events // 2
                self._pull(batch.last, max(self._idle_s - (time.monotonic() - began), 0.0) if few else 0.0)
                checkpoint = await self._write(batch)
                if checkpoint != batch.last:
                    self._pull(checkpoint, 0.0)
        except Stopping:
            logger.info("partition %d: stopped", self._partition)
        finally:
            self._forget()
            self._database.close()

    def _pull(self, after: Checkpoint, pause_s: float) -> None:
        """Begin to pull what follows `after`; `pause_s` lets a few events become more."""
        self._forget()
        self._ahead = asyncio.create_task(self._source.pull(after, pause_s))

    def _forget(self) -> None:
        if self._ahead is not None:
            if not self._ahead.cancel() and not self._ahead.cancelled():
                self._ahead.exception()  # seen: what it found is asked for again
            self._ahead = None

    async def _pulled(self, checkpoint: Checkpoint) -> Batch | None:
        """The events after the checkpoint; None when there are none for a while, or no engine."""
        assert self._ahead is not None  # noqa: S101  the loop began it
        try:
            pulled = await self._unless_stopped(self._ahead)
        except (LinkLost, QueryRefused) as error:
            self._watch.failed("engine", error)
            await self._unless_stopped(self._link.wait_connected())
            if isinstance(error, LinkLost):
                self._watch.mended("engine")  # not only with its next event, for which the next pull waits
            await self._pause(BACKOFF_MAX_S if isinstance(error, QueryRefused) else BACKOFF_MIN_S)
            return None
        self._watch.mended("engine")
        self._end = pulled.end
        if pulled.batch is None:
            self._watch.stands(checkpoint, self._end)
        return pulled.batch

    async def _write(self, batch: Batch) -> Checkpoint:
        """Try until it stands, and return where to go on. Not interrupted by `stop` while PostgreSQL answers."""
        pause_s = BACKOFF_MIN_S
        while True:
            self._watch.writing()
            try:
                await self._database.write(batch)
            except RETRIED as error:
                self._watch.failed("postgres", error)
                stands = await self._open()
                if stands == batch.first:
                    await self._pause(pause_s)  # it answers, and may refuse the rows again, as with a full disk
                    pause_s = min(2 * pause_s, BACKOFF_MAX_S)
                    continue
                if stands.sequence < batch.first.sequence:
                    # PostgreSQL has crashed and taken back its newest commits, rows and checkpoint together
                    logger.info("partition %d: writing again from sequence %d", self._partition, stands.sequence + 1)
                    return stands
                if stands != batch.last:
                    raise Conflict(
                        f"partition {self._partition}: expected the checkpoint at sequence {batch.first.sequence}, it stands "
                        f"at {stands.sequence}: somebody else moved it; nothing was written"
                    ) from error
                # the connection broke after the commit and before its answer
            self._watch.mended("postgres")
            metrics.rows.labels(*self._labels).inc(batch.count)
            metrics.batches.labels(*self._labels).inc()
            self._watch.stands(batch.last, self._end)
            self._written(batch.pieces)
            return batch.last

    async def _open(self) -> Checkpoint:
        """Connect, for as long as it takes; raises Stopping, Damage, and Conflict when another persister goes on writing."""
        pause_s = BACKOFF_MIN_S
        claimed_s = 0.0
        while True:
            self._database.close()
            try:
                checkpoint = await self._unless_stopped(self._database.open())
            except Claimed as error:
                claimed_s = claimed_s or time.monotonic()
                if time.monotonic() - claimed_s > YIELD_S:
                    raise Conflict(
                        f"another persister writes partition {self._partition} and goes on, this one ends: {error}"
                    ) from error
                self._watch.failed("postgres", error)
            except RETRIED as error:
                claimed_s = 0.0
                self._watch.failed("postgres", error)
            else:
                self._watch.stands(checkpoint, self._end)
                return checkpoint
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
