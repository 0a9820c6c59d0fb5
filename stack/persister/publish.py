"""News for Valkey: trades, best prices, closed orders. Caches and fan-out, never the truth.

It happens after the commit, in a task of its own, from a short queue. When Valkey is away or slow, batches are left out
and counted; writing never waits for it.

    trades:<symbol>     list of the newest trades, newest first; after something was left out it begins anew, so that it
                        has no holes
    best:<symbol>       hash of best prices with the sequence they are of
    order:<order_id>    an Order as JSON. Only closed orders: they never change any more, so a cached one is never stale
    channels `trades` and `best` carry the same, with the symbol

The instruments of proofs (PROOF.<partition>) stay out of all of them.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from engine.records import EVENT_BYTES, MAKER, Event, EventKind, unpack_events
from stack.persister import metrics
from stack.settings import PersisterSettings
from stack.wire.link import Link, LinkLost, QueryRefused
from stack.wire.order import fold, order_id
from stack.wire.tables import Listed

logger = logging.getLogger(__name__)

QUEUE_BATCHES = 4
SLICE_EVENTS = 500  # after so many, others get their turn
TRADES_KEPT = 1000
CHAINS_MAX = 50_000  # orders whose events are held until they close
PAUSE_S = 0.5  # after Valkey did not answer
TIMEOUT_S = 0.5
PROOF_PREFIX = "PROOF."

# order, leaves, symbol, kind, flags
_GLANCE = struct.Struct("<8xQ32xq12xI4xB3xB47x")
assert _GLANCE.size == EVENT_BYTES  # noqa: S101
_CHAIN_KINDS = frozenset((EventKind.ACCEPTED, EventKind.FILL, EventKind.CANCELLED, EventKind.REPLACED))


class Publisher:
    def __init__(self, settings: PersisterSettings, link: Link) -> None:
        self._partition = settings.partition
        self._ttl_s = settings.cached_order_ttl_s
        self._link = link
        self._labels = (settings.component, str(settings.partition))
        self._waiting: deque[tuple[bool, bytes]] = deque()  # whether batches before it were left out, events
        self._ready = asyncio.Event()
        self._stopping = False
        self._redis = Redis(
            host=settings.redis.host,
            port=settings.redis.port,
            password=Path(settings.redis.password_file).read_text().strip() or None,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # a batch is tried once
        )
        self._chains: dict[int, bytearray] = {}
        self._whole_lists: set[str] = set()  # symbols whose list of trades has no holes
        self._touched: set[int] = set()  # symbols whose best prices may have changed
        self._away_until = 0.0

    def offer(self, events: bytes) -> None:
        """Take a committed batch; never waits. When too many wait, the oldest is left out."""
        gap = False
        if len(self._waiting) >= QUEUE_BATCHES:
            _, oldest = self._waiting.popleft()
            self._leave_out(oldest)
            if self._waiting:
                self._waiting[0] = (True, self._waiting[0][1])
            else:
                gap = True
        self._waiting.append((gap, events))
        self._ready.set()

    def stop(self) -> None:
        """End soon, whatever still waits. Not by cancelling: redis-py swallows that when it comes at a bad moment."""
        self._stopping = True
        self._ready.set()

    async def run(self) -> None:
        """Until `stop`."""
        try:
            while not self._stopping:
                if not self._waiting:
                    self._ready.clear()
                    await self._ready.wait()
                    continue
                gap, events = self._waiting.popleft()
                if gap:
                    self._forget()
                if time.monotonic() < self._away_until:
                    self._leave_out(events)
                    self._forget()
                    continue
                try:
                    await self._publish(events)
                except Exception as error:
                    if isinstance(error, RedisError | OSError | TimeoutError):
                        self._away(error)
                    else:
                        logger.exception("news of %d events left out: our own bug", len(events) // EVENT_BYTES)
                    self._leave_out(events)
                    self._forget()
                else:
                    self._back()
        finally:
            await self._redis.aclose()

    async def _publish(self, events: bytes) -> None:
        for start in range(0, len(events), SLICE_EVENTS * EVENT_BYTES):
            if self._stopping:
                return
            pipeline = self._redis.pipeline(transaction=False)
            self._gather(events[start : start + SLICE_EVENTS * EVENT_BYTES], pipeline)
            if len(pipeline):
                await pipeline.execute()
            await asyncio.sleep(0)
        await self._best_prices()
        metrics.published.labels(*self._labels).inc(len(events) // EVENT_BYTES)

    def _gather(self, events: bytes, pipeline: Pipeline) -> None:
        trades: dict[str, list[bytes]] = {}
        for number, (order, leaves, symbol, kind, flags) in enumerate(_GLANCE.iter_unpack(events)):
            if kind not in _CHAIN_KINDS:
                continue
            self._touched.add(symbol)
            raw = events[number * EVENT_BYTES : (number + 1) * EVENT_BYTES]
            if kind == EventKind.FILL and not flags & MAKER:
                self._trade(Event.unpack(raw), trades, pipeline)
            if kind == EventKind.ACCEPTED and len(self._chains) < CHAINS_MAX:
                self._chains[order] = bytearray()
            chain = self._chains.get(order)
            if chain is not None:
                chain += raw
                if leaves == 0:
                    del self._chains[order]
                    self._closed(order, chain, pipeline)
        for name, found in trades.items():
            if name not in self._whole_lists:
                pipeline.delete(f"trades:{name}")
                self._whole_lists.add(name)
            pipeline.lpush(f"trades:{name}", *found)
            pipeline.ltrim(f"trades:{name}", 0, TRADES_KEPT - 1)

    def _trade(self, taker: Event, trades: dict[str, list[bytes]], pipeline: Pipeline) -> None:
        listed = self._listed(taker.symbol)
        if listed is None:
            return
        trade = {
            "trade_id": f"{self._partition}-{taker.trade}",
            "price": listed.tick.text(taker.price),
            "quantity": listed.lot.text(taker.quantity),
            "side": "buy" if taker.side == 1 else "sell",
            "time_ns": taker.time_ns,
            "sequence": taker.sequence,
        }
        trades.setdefault(listed.symbol, []).append(msgspec.json.encode(trade))
        pipeline.publish("trades", msgspec.json.encode({"symbol": listed.symbol, **trade}))

    def _closed(self, order: int, chain: bytearray, pipeline: Pipeline) -> None:
        document = fold(unpack_events(chain), self._partition, self._link.tables)
        if document["symbol"] and document["account"]:  # else the tables have not arrived yet
            pipeline.set(f"order:{order_id(self._partition, order)}", msgspec.json.encode(document), ex=self._ttl_s)

    async def _best_prices(self) -> None:
        """Of every symbol touched since it last worked; asked of the engine, so it is the book of now, not of the batch."""
        while self._touched:
            symbol = next(iter(self._touched))
            listed = self._listed(symbol)
            if listed is not None:
                try:
                    book = (await self._link.query("book", symbol=symbol, depth=1)).document
                except (LinkLost, QueryRefused):
                    return  # they stay touched
                best: dict[Any, Any] = {"sequence": str(book["sequence"])}
                for side, levels in (("bid", book["bids"]), ("ask", book["asks"])):
                    best[f"{side}_price"] = listed.tick.text(levels[0][0]) if levels else ""
                    best[f"{side}_quantity"] = listed.lot.text(levels[0][1]) if levels else ""
                pipeline = self._redis.pipeline(transaction=False)
                pipeline.hset(f"best:{listed.symbol}", mapping=best)
                pipeline.publish("best", msgspec.json.encode({"symbol": listed.symbol, **best}))
                await pipeline.execute()
            self._touched.discard(symbol)

    def _listed(self, symbol: int) -> Listed | None:
        listed = self._link.tables.instruments.get(symbol)
        return listed if listed and not listed.symbol.startswith(PROOF_PREFIX) else None

    def _leave_out(self, events: bytes) -> None:
        """Best prices are asked anew, so that they miss nothing."""
        self._touched.update(symbol for _, _, symbol, kind, _ in _GLANCE.iter_unpack(events) if kind in _CHAIN_KINDS)
        metrics.skipped.labels(*self._labels).inc(len(events) // EVENT_BYTES)

    def _forget(self) -> None:
        """A batch is missing here: what we know of open orders and of lists has a hole."""
        self._chains.clear()
        self._whole_lists.clear()

    def _away(self, error: BaseException) -> None:
        metrics.errors.labels(*self._labels, "valkey").inc()
        if not self._away_until:
            logger.warning("Valkey does not work, caches are left out: %s: %s", type(error).__name__, error)
        self._away_until = time.monotonic() + PAUSE_S

    def _back(self) -> None:
        if self._away_until:
            logger.info("Valkey works again")
            self._away_until = 0.0
