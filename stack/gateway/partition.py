"""One engine as the gateway sees it: requests wait out its restarts here and are sent again.

Sending again is safe. The engine answers an id it knows with the original acknowledgement, a cancel repeated finds the
order cancelled, a replace carries its request_id. So a request fails only after `hold_s`: with 503 when no engine ever
got it, with 504 when one may have taken it. The number of waiting requests is bounded over all partitions.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stack.gateway.errors import ApiError
from stack.settings import GatewaySettings, PartitionSettings
from stack.wire.frames import Outcome
from stack.wire.link import Answer, Link, LinkLost, QueryRefused, Reply, Welcome
from stack.wire.tables import Tables

logger = logging.getLogger(__name__)

BUSY_PAUSE_S = 0.02


class Held:
    """How many requests wait for an engine."""

    def __init__(self, limit: int, changed: Callable[[int], object]) -> None:
        self._limit = limit
        self._changed = changed
        self.count = 0

    @contextmanager
    def one(self, refusal: Callable[[], ApiError]) -> Iterator[None]:
        if self.count >= self._limit:
            raise refusal()
        self.count += 1
        self._changed(self.count)
        try:
            yield
        finally:
            self.count -= 1
            self._changed(self.count)


class Partition:
    def __init__(
        self,
        entry: PartitionSettings,
        settings: GatewaySettings,
        held: Held,
        *,
        round_trip: Callable[[float], object],
    ) -> None:
        self.number = entry.partition
        self._settings = settings
        self._held = held
        self._round_trip = round_trip
        self._next_welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stopping = False
        self.link = Link(entry.link_socket, settings.component, on_welcome=self._welcomed, on_notice=self._noticed)

    @property
    def up(self) -> bool:
        return self.link.connected and not self.stopping

    @property
    def halted(self) -> bool:
        return self.link.welcome is not None and self.link.welcome.halted

    async def tables(self) -> Tables:
        """What the engine's numbers mean. Known from the first connection on; until then this waits."""
        if self.link.welcome is None:
            await self._wait(self._next_welcome, self._deadline(), sent=False)
        return self.link.tables

    async def there(self) -> None:
        """Return once the engine is connected; ApiError when it is not back in time."""
        deadline = self._deadline()
        while not self.link.connected:
            await self._wait(self._next_welcome, deadline, sent=False)

    async def submit(self, command: bytes, *, sent: bool = False) -> tuple[Reply, bool]:
        """The engine's reply, and whether the command was sent more than once; raises ApiError.

        `sent`: it was before, and nobody knows what became of it.
        """
        deadline = 0.0
        again = False
        while True:
            next_welcome = self._next_welcome
            if self.link.connected:
                again = again or sent
                start = time.perf_counter()
                try:
                    async with asyncio.timeout(self._settings.engine_timeout_s):
                        reply = await self.link.submit(command)
                except LinkLost as lost:
                    sent = sent or lost.sent
                except TimeoutError:
                    raise self.unanswered() from None
                else:
                    self._round_trip(time.perf_counter() - start)
                    turned_away = reply.outcome in (Outcome.BUSY, Outcome.FULL)
                    if reply.outcome != Outcome.STOPPED and not (sent and turned_away):
                        return reply, again
                    if turned_away:
                        # This speaks of this attempt only; what an earlier one did is still open.
                        next_welcome = self._after(BUSY_PAUSE_S)
            deadline = deadline or self._deadline()
            await self._wait(next_welcome, deadline, sent=sent)

    async def query(self, name: str, **fields: object) -> Answer:
        """Raises ApiError."""
        deadline = 0.0
        while True:
            next_welcome = self._next_welcome
            if self.link.connected:
                try:
                    async with asyncio.timeout(self._settings.engine_timeout_s):
                        return await self.link.query(name, **fields)
                except LinkLost:
                    pass
                except QueryRefused as refused:
                    if refused.code == "bad_query":  # of another release, as while one is rolled back
                        logger.warning("engine %d does not know the query %s: %s", self.number, name, refused)
                        message = (
                            f"engine {self.number} is of a release that cannot be asked this; it may be on its way"
                        )
                        raise ApiError("engine_unavailable", message) from refused
                    if refused.code != "stopped":  # by its end: the next process answers
                        logger.error("engine %d refuses query %s: %s", self.number, name, refused)
                        raise ApiError("internal", f"engine {self.number} refuses the query {name}") from refused
                except TimeoutError:
                    message = f"engine {self.number} gave no answer within {self._settings.engine_timeout_s:g} s"
                    raise ApiError("engine_unavailable", message) from None
            deadline = deadline or self._deadline()
            await self._wait(next_welcome, deadline, sent=False)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._settings.hold_s

    async def _wait(self, event: asyncio.Future[None], deadline: float, *, sent: bool) -> None:
        """Until the engine is there again (`event`), or ApiError at the deadline."""
        if asyncio.get_running_loop().time() >= deadline:
            raise self._refusal("engine_unavailable", sent)
        with self._held.one(lambda: self._refusal("too_many_held", sent)):
            try:
                async with asyncio.timeout_at(deadline):
                    await asyncio.shield(event)
            except TimeoutError:
                raise self._refusal("engine_unavailable", sent) from None

    def _refusal(self, code: str, sent: bool) -> ApiError:
        if sent:
            return self._unknown(f"it was lost and not back within {self._settings.hold_s:g} s")
        if code == "too_many_held":
            message = f"{self._held.count} requests already wait for an engine; nothing was done, send it again"
        else:
            message = f"engine {self.number} was not there for {self._settings.hold_s:g} s; nothing was done"
        return ApiError(code, message)

    def unanswered(self) -> ApiError:
        return self._unknown(f"no answer within {self._settings.engine_timeout_s:g} s")

    def _unknown(self, why: str) -> ApiError:
        message = f"engine {self.number} may have taken this: {why}. Send the same again, or look it up"
        return ApiError("outcome_unknown", message, outcome="unknown")

    def _after(self, seconds: float) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        loop.call_later(seconds, lambda: future.done() or future.set_result(None))
        return future

    def _welcomed(self, welcome: Welcome) -> None:
        self.stopping = False
        logger.info("engine %d: epoch %d, sequence %d", self.number, welcome.epoch, welcome.sequence)
        waiting, self._next_welcome = self._next_welcome, asyncio.get_running_loop().create_future()
        waiting.set_result(None)

    def _noticed(self, notice: str) -> None:
        logger.info("engine %d says: %s", self.number, notice)
        if notice == "stopping":
            self.stopping = True
