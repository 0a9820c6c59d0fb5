"""When and where groups are synced: inline while the disk is fast, in a thread while it is not.

One commit runs at a time and takes all groups closed so far. Inline costs no wake-up; but syncs that take longer than
SYNC_INLINE_MAX_S keep the event loop from answering (429, reads, health). So after SLOW_IN_A_ROW_S of them, without a fast
one between, the next go to a thread, until one there is fast again. One slow sync among fast ones is most often a processor
that was given to somebody else, and a thread would wait for it just as long, and for the GIL besides.

Whatever goes wrong on the way to the disk, or before everything durable was said, ends it for good: to go on would write
the same records once more. Only the next start, which reads the disk, knows where the journal stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from stack.matcher.journal_files import JournalFiles
from stack.matcher.sequencer import Group

logger = logging.getLogger(__name__)

SYNC_INLINE_MAX_S = 0.001
SLOW_IN_A_ROW_S = 0.008
WATERMARK_IDLE_S = 0.010


class Commits:
    def __init__(
        self,
        journal: JournalFiles,
        *,
        collect: Callable[[], None],
        on_durable: Callable[[list[Group], float], None],
        on_failed: Callable[[str], None],
    ) -> None:
        """`collect()` is called before each commit and adds what is open. `on_durable(groups, sync seconds)` gets each
        group once, in order; any exception from it counts as a failure too, and from `collect` as well."""
        self._journal = journal
        self._collect = collect
        self._on_durable = on_durable
        self._on_failed = on_failed
        self._loop = asyncio.get_running_loop()
        self._thread: _SyncThread | None = None  # begun when it is first needed
        self._closed: deque[Group] = deque()
        self._running: list[Group] | None = None  # what the thread commits
        self._ended: asyncio.Future[None] | None = None  # of whoever waits for that
        self._sync_s = 0.0  # how long the last one took
        self._slow_s = 0.0  # how long the newest slow ones took together
        self._idle_armed = False
        self._commits_since_idle = 0
        self._failed = False

    def add(self, group: Group) -> None:
        self._closed.append(group)

    def flush(self) -> None:
        if self._running is not None or self._failed:
            return  # the end of the commit that runs flushes again
        try:
            self._collect()
        except Exception as error:
            self._fail("cannot close a group of the journal", error)
            return
        groups = list(self._closed)
        if not groups:
            return
        if not any(group.sequence for group in groups):
            self._durable(groups)
        else:
            self._commits_since_idle += 1
            self._commit(groups)

    def _commit(self, groups: list[Group]) -> None:
        recorded = [group for group in groups if group.sequence]
        if self._slow_s >= SLOW_IN_A_ROW_S:
            if self._thread is None:
                self._thread = _SyncThread(self._journal, self._loop, self._committed)
            self._running = groups
            self._thread.commit(recorded)
            return
        try:
            took_s = self._journal.commit(recorded)
        except Exception as error:
            self._fail("cannot write the journal", error)
            return
        self._took(took_s)
        self._durable(groups)

    def _committed(self, outcome: float | Exception) -> None:
        """By the thread. A float: how many seconds the sync took."""
        groups, self._running = self._running, None
        if self._ended is not None:
            self._ended.set_result(None)
            self._ended = None
        if isinstance(outcome, Exception):
            self._fail("cannot write the journal", outcome)
            return
        self._took(outcome)
        self._durable(groups or [])
        self.flush()

    def _took(self, sync_s: float) -> None:
        self._sync_s = sync_s
        self._slow_s = self._slow_s + sync_s if sync_s >= SYNC_INLINE_MAX_S else 0.0

    def _durable(self, groups: list[Group]) -> None:
        if self._failed:
            return
        try:
            self._on_durable(groups, self._sync_s)
        except Exception as error:
            self._fail("cannot log and tell what is durable", error)
            return
        for _ in groups:
            self._closed.popleft()
        if not self._idle_armed and self._journal.watermark_unsynced:
            self._arm_idle()

    def _arm_idle(self) -> None:
        self._idle_armed = True
        self._commits_since_idle = 0
        self._loop.call_later(WATERMARK_IDLE_S, self._idle)

    def _idle(self) -> None:
        """Sync the last watermark once no group does it by the way."""
        self._idle_armed = False
        if self._failed or not self._journal.watermark_unsynced:
            return
        if self._running is not None or self._commits_since_idle:
            self._arm_idle()
        else:
            self._commit([])

    def _fail(self, what: str, error: BaseException) -> None:
        if self._failed:
            return
        self._failed = True
        if isinstance(error, OSError):
            self._on_failed(f"{what}: {error}")
        else:
            logger.error("%s: our own bug", what, exc_info=error)
            self._on_failed(f"{what}: our own bug, {type(error).__name__}: {error}")

    def abandon(self) -> list[Group]:
        """The groups that will not become durable by us any more."""
        self._failed = True
        groups = list(self._closed)
        self._closed.clear()
        return groups

    async def close(self) -> None:
        """Commit what was added, sync the watermark, close the files."""
        self.flush()
        while self._running is not None:
            self._ended = self._loop.create_future()
            await self._ended  # it flushes again before we go on
        if self._thread is not None:
            self._thread.stop()
        if not self._failed:
            self._journal.commit([])
        self._failed = True  # nothing may follow
        self._journal.close()


class _SyncThread:
    """Commits one after the other. One wake-up there and one back, no futures."""

    def __init__(
        self, journal: JournalFiles, loop: asyncio.AbstractEventLoop, done: Callable[[float | Exception], None]
    ) -> None:
        self._journal = journal
        self._loop = loop
        self._done = done
        self._next: SimpleQueue[list[Group] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="journal", daemon=True)  # `close` waits, nothing else needs to
        self._thread.start()

    def commit(self, groups: list[Group]) -> None:
        """`done` is called in the loop."""
        self._next.put(groups)

    def stop(self) -> None:
        """While no commit runs."""
        self._next.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (groups := self._next.get()) is not None:
            outcome: float | Exception
            try:
                outcome = self._journal.commit(groups)
            except Exception as error:
                outcome = error
            self._loop.call_soon_threadsafe(self._done, outcome)
