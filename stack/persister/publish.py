"""News for Valkey: trades, best prices, closed orders. Caches and fan-out, never the truth.

It happens after the commit, in a task of its own; writing never waits for it. Up to FULL_EVENTS_PER_S, and up to
FULL_EVENTS_BURST at once, everything is told. Above that, and while Valkey is away or slow, news is coalesced: the newest
trades and prices a few times a second, closed orders not at all; PostgreSQL has them. What was not told one by one is counted.

    trades:<symbol>     list of the newest trades, newest first; after something was coalesced it begins anew with the newest
                        NEWEST_KEPT, so that it has no holes. A persister that begins deletes it: the one before may have committed
                        trades that it never told
    best:<symbol>       hash of best prices with the sequence they are of
    order:<order_id>    an Order as JSON. Only closed orders: they never change any more, so a cached one is never stale
    channels `trades` and `best` carry the same, with the symbol; coalesced trades have no message of their own

The instruments of proofs (PROOF.<partition>) stay out of all of them.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import deque
from contextlib import suppress
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
from stack.persister.watch import Watch
from stack.settings import PersisterSettings
from stack.wire.link import Link, LinkLost, QueryRefused
from stack.wire.order import fold, order_id
from stack.wire.tables import Listed

logger = logging.getLogger(__name__)

FULL_EVENTS_PER_S = 2_500  # some 20 us of Python each: 5 % of a processor; what is above costs next to nothing
FULL_EVENTS_BURST = 10_000  # so many at once after a quiet time
DEBT_EVENTS_MAX = 500  # so that news in full is soon back once it is less
QUEUE_BYTES = 10_000 * EVENT_BYTES
NEWEST_KEPT = 100  # trades of a symbol, out of what is coalesced
LOOKED_THROUGH = 4_000  # newest fills of a batch, for them
COALESCED_PAUSE_S = 0.25
SLICE_EVENTS = 500  # after so many, others get their turn
TRADES_KEPT = 1000
CHAINS_MAX = 50_000  # orders whose events are held until they close
CHAIN_BYTES_MAX = 64 * EVENT_BYTES  # a longer one is not cached
PAUSE_S = 0.5  # after Valkey did not answer
TIMEOUT_S = 0.5
PROOF_PREFIX = "PROOF."

# order, leaves, symbol, kind, flags
_GLANCE = struct.Struct("<8xQ32xq12xI4xB3xB47x")
assert _GLANCE.size == EVENT_BYTES  # noqa: S101
_SYMBOL_OFFSET, _KIND_OFFSET, _FLAGS_OFFSET = 68, 76, 80
_FILL = bytes((EventKind.FILL,))
_CHAIN_KINDS = frozenset((EventKind.ACCEPTED, EventKind.FILL, EventKind.CANCELLED, EventKind.REPLACED))


class Publisher:
    def __init__(self, settings: PersisterSettings, link: Link, watch: Watch) -> None:
        self._partition = settings.partition
        self._ttl_s = settings.cached_order_ttl_s
        self._link = link
        self._watch = watch
        self._labels = (settings.component, str(settings.partition))
        self._waiting: deque[bytes] = deque()  # to be told in full
        self._newest: dict[int, deque[bytes]] = {}  # symbol -> taker fills, oldest first: coalesced
        self._touched: set[int] = set()  # symbols whose best prices may have changed
        self._coalesced = False  # something is, and was not told yet
        self._coalesced_due = 0.0  # not before
        self._allowed, self._allowed_at = float(FULL_EVENTS_BURST), time.monotonic()
        self._ready = asyncio.Event()
        self._stopping = False
        self._redis = Redis(
            host=settings.redis.host,
            port=settings.redis.port,
            password=Path(settings.redis.password_file).read_text().strip() or None,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # the pause decides when to try again
        )
        self._chains: dict[int, bytearray] = {}
        self._whole_lists: set[int] = set()  # symbols whose list of trades has no holes
        self._away = False
        self._begun = False  # what an earlier persister left is put right
        self._last = 0  # sequence of the newest event that was offered

    def offer(self, pieces: list[bytes]) -> None:
        """Take a committed batch; never waits."""
        count = sum(len(piece) for piece in pieces) // EVENT_BYTES
        if Event.unpack(pieces[0]).sequence <= self._last:
            self._begin_again()
        self._last = Event.unpack(pieces[-1], len(pieces[-1]) - EVENT_BYTES).sequence
        may = self._may(count)
        if self._coalesced or self._away or sum(map(len, self._waiting)) > QUEUE_BYTES or not may:
            while self._waiting:
                self._coalesce(self._waiting.popleft())
            for piece in pieces:
                self._coalesce(piece)
        else:
            self._waiting.append(b"".join(pieces))
        self._ready.set()

    def stop(self) -> None:
        """End soon, whatever still waits. Not by cancelling: redis-py swallows that when it comes at a bad moment."""
        self._stopping = True
        self._ready.set()

    async def run(self) -> None:
        """Until `stop`."""
        try:
            while not self._stopping:
                if not self._begun and not self._away and self._link.connected:
                    await self._try(b"")
                elif self._waiting:
                    await self._try(self._waiting.popleft())
                elif self._coalesced and time.monotonic() >= self._coalesced_due:
                    await self._try(None)
                    self._coalesced_due = time.monotonic() + (PAUSE_S if self._away else COALESCED_PAUSE_S)
                else:
                    self._ready.clear()
                    wait_s = self._coalesced_due - time.monotonic() if self._coalesced else None
                    if not self._begun:
                        wait_s = PAUSE_S
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._ready.wait(), wait_s)
        finally:
            await self._redis.aclose()

    async def _try(self, events: bytes | None) -> None:
        """Tell these events, or what was coalesced."""
        try:
            if not self._begun:
                await self._begin()
            if events is None:
                await self._tell_coalesced()
            else:
                await self._tell(events)
        except (RedisError, OSError, TimeoutError) as error:
            self._watch.failed("valkey", error)
            self._away = self._coalesced = True
        except Exception:
            logger.exception("news left out: our own bug")
        else:
            self._away = False
            self._watch.mended("valkey")
            return
        self._forget()
        if events is not None:
            self._coalesce(events)
        while self._waiting:
            self._coalesce(self._waiting.popleft())  # what is newer must not be told before

    async def _begin(self) -> None:
        """What was committed and not told before is missing from the lists, and may have changed any best price."""
        instruments = self._link.tables.instruments
        lists = [f"trades:{listed.symbol}" for number in instruments if (listed := self._listed(number)) is not None]
        if lists:
            await self._redis.delete(*lists)
        self._touched.update(instruments)
        self._begun = True

    def _begin_again(self) -> None:
        """PostgreSQL took commits back, and what was told of them comes once more: lists begin anew with it."""
        while self._waiting:
            self._coalesce(self._waiting.popleft())
        self._newest.clear()
        self._forget()

    def _may(self, count: int) -> bool:
        """What is not told counts as well: where more comes all the time, a part told in full would cost and help nobody."""
        now = time.monotonic()
        self._allowed = min(self._allowed + (now - self._allowed_at) * FULL_EVENTS_PER_S, FULL_EVENTS_BURST)
        self._allowed_at = now
        may = count <= self._allowed
        self._allowed = max(self._allowed - count, float(-DEBT_EVENTS_MAX))
        return may

    def _coalesce(self, events: bytes) -> None:
        """Keep the newest trades and which symbols were touched, no more. Costs little: the writer does it itself."""
        self._coalesced = True
        self._forget()
        metrics.skipped.labels(*self._labels).inc(len(events) // EVENT_BYTES)
        lows = set(events[_SYMBOL_OFFSET::EVENT_BYTES])
        self._touched.update(number for number in self._link.tables.instruments if number & 0xFF in lows)
        newest, whole = newest_trades(events)
        if not whole:
            self._newest.clear()
        for symbol, fills in newest.items():
            self._newest.setdefault(symbol, deque(maxlen=NEWEST_KEPT)).extend(fills)

    async def _tell_coalesced(self) -> None:
        newest, self._newest = self._newest, {}
        self._coalesced = False
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for symbol, fills in newest.items():
                if (listed := self._listed(symbol)) is not None:
                    trades = [msgspec.json.encode(self._trade(Event.unpack(fill), listed)) for fill in fills]
                    pipeline.delete(f"trades:{listed.symbol}")
                    pipeline.lpush(f"trades:{listed.symbol}", *trades)
            if len(pipeline):
                await pipeline.execute()
            if not self._coalesced:  # nothing was left out meanwhile
                self._whole_lists.update(newest)
            await self._best_prices()
        except BaseException:
            for symbol, fills in self._newest.items():
                newest[symbol] = deque((*newest.get(symbol, ()), *fills), NEWEST_KEPT)
            self._newest = newest
            raise

    async def _tell(self, events: bytes) -> None:
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
        trades: dict[int, list[bytes]] = {}
        for number, (order, leaves, symbol, kind, flags) in enumerate(_GLANCE.iter_unpack(events)):
            if kind not in _CHAIN_KINDS:
                continue
            self._touched.add(symbol)
            raw = events[number * EVENT_BYTES : (number + 1) * EVENT_BYTES]
            if kind == EventKind.FILL and not flags & MAKER and (listed := self._listed(symbol)) is not None:
                trade = self._trade(Event.unpack(raw), listed)
                trades.setdefault(symbol, []).append(msgspec.json.encode(trade))
                pipeline.publish("trades", msgspec.json.encode({"symbol": listed.symbol, **trade}))
            if kind == EventKind.ACCEPTED and len(self._chains) < CHAINS_MAX:
                self._chains[order] = bytearray()
            chain = self._chains.get(order)
            if chain is not None:
                chain += raw
                if leaves == 0 or len(chain) > CHAIN_BYTES_MAX:
                    del self._chains[order]
                if leaves == 0:
                    self._closed(order, chain, pipeline)
        for symbol, found in trades.items():
            name = f"trades:{self._link.tables.instruments[symbol].symbol}"
            if symbol not in self._whole_lists:
                pipeline.delete(name)
                self._whole_lists.add(symbol)
            pipeline.lpush(name, *found)
            pipeline.ltrim(name, 0, TRADES_KEPT - 1)

    def _trade(self, taker: Event, listed: Listed) -> dict[str, Any]:
        return {
            "trade_id": f"{self._partition}-{taker.trade}",
            "price": listed.tick.text(taker.price),
            "quantity": listed.lot.text(taker.quantity),
            "side": "buy" if taker.side == 1 else "sell",
            "time_ns": taker.time_ns,
            "sequence": taker.sequence,
        }

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

    def _forget(self) -> None:
        """Something was not told one by one: what we know of open orders and of lists has a hole."""
        self._chains.clear()
        self._whole_lists.clear()


def newest_trades(events: bytes) -> tuple[dict[int, list[bytes]], bool]:
    """The newest taker fills of each symbol, oldest first, and whether all fills of these events were looked at."""
    kinds = events[_KIND_OFFSET::EVENT_BYTES]
    flags = events[_FLAGS_OFFSET::EVENT_BYTES]
    found: dict[int, list[bytes]] = {}
    place = len(kinds)
    for _ in range(LOOKED_THROUGH):
        place = kinds.rfind(_FILL, 0, place)
        if place < 0:
            break
        if flags[place] & MAKER:
            continue
        start = place * EVENT_BYTES
        symbol = int.from_bytes(events[start + _SYMBOL_OFFSET : start + _SYMBOL_OFFSET + 4], "little")
        fills = found.setdefault(symbol, [])
        if len(fills) < NEWEST_KEPT:
            fills.append(events[start : start + EVENT_BYTES])
    for fills in found.values():
        fills.reverse()
    return found, place < 0
