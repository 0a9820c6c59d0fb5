"""Keeps a worker's clients busy and counts what comes back.

Closed loop: a client that is free asks at once, and latency counts from the moment it was free. Open loop: request k is
meant for start + k / rate whoever is free then, and latency counts from that moment, so that a stall of the server shows in
every request that had to wait for it.

An attempt whose outcome is open (no answer, 502, 504) or that may be repeated (429, 503) is sent again word for word, up to
ATTEMPTS_MAX times; its id makes that safe. Latency then counts from the first attempt. What still fails is an error.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from typing import Any

import msgspec

from stack.traffic.load_client import Client, retry_after_s
from stack.traffic.load_history import History
from stack.traffic.load_orders import Orders, Request
from stack.traffic.load_ticker import Ticker

ATTEMPTS_MAX = 5
AGAIN = frozenset({0, 429, 502, 503, 504})
PAUSE_S = 0.05  # before the second attempt; doubles
RETRY_AFTER_S_MAX = 1.0
REPLY_TIMEOUT_S = 10.0
DRAIN_S = 5.0
LATE_NS = 1_000_000
_NS = 1_000_000_000


class Plan(msgspec.Struct, frozen=True):
    """What one worker has to do."""

    worker: int
    host: str
    port: int
    clients: int
    rate: float  # requests per second of this worker; 0: closed loop
    warmup_s: float
    duration_s: float
    seed: int
    run: str
    account: str
    cancels: bool
    instruments: list[dict[str, Any]]
    history: str | None = None


class Counts(msgspec.Struct):
    """What one worker saw in the measured time."""

    requests: int = 0  # finished, well or not
    in_time: int = 0  # well, before the end
    ok: int = 0
    retries: int = 0
    late: int = 0  # sent more than 1 ms after they were meant to be
    not_sent: int = 0  # meant to be sent, and no client was free before the end
    too_late: int = 0  # cancels of orders that were filled meanwhile; among `ok`
    latency_us: dict[int, int] = {}
    errors: dict[str, int] = {}
    cpu_s: float = 0.0


class Slot:
    """A client's place: the connection may be replaced under it, the request stays."""

    __slots__ = ("attempts", "client", "invoked_ns", "request", "since_ns")

    def __init__(self) -> None:
        self.client: Client | None = None
        self.request: Request | None = None
        self.since_ns = 0  # where its latency begins
        self.invoked_ns = 0  # of the open attempt; 0: none is open
        self.attempts = 0


class Driver:
    def __init__(self, plan: Plan, orders: Orders, history: History | None) -> None:
        self._plan = plan
        self._orders = orders
        self._history = history
        self._loop = asyncio.get_running_loop()
        self._slots: dict[Client, Slot] = {}
        self._all = [Slot() for _ in range(plan.clients)]
        self._free: deque[Slot] = deque()
        self._busy = 0
        self._next = 0  # open loop: number of the next request
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._stopped: asyncio.Future[None] = self._loop.create_future()
        self._start_ns = self._from_ns = self._end_ns = 0
        self._interval_ns = 0.0
        self._idle: asyncio.Future[None] = self._loop.create_future()
        self._latency: Counter[int] = Counter()
        self._errors: Counter[str] = Counter()
        self.counts = Counts()

    async def connect(self) -> None:
        """Raises OSError."""
        await asyncio.gather(*(self._connect(slot) for slot in self._all))

    async def run(self, start_ns: int) -> Counts:
        plan = self._plan
        self._start_ns = start_ns
        self._from_ns = start_ns + int(plan.warmup_s * _NS)
        self._end_ns = self._from_ns + int(plan.duration_s * _NS)
        self._interval_ns = _NS / plan.rate if plan.rate else 0.0
        await asyncio.sleep(max(0.0, (start_ns - time.monotonic_ns()) / _NS))
        self._free.extend(self._all)
        ticker = Ticker(int(self._interval_ns), self._pump) if plan.rate else None
        watch = self._loop.create_task(self._watch())
        if ticker is None:
            for _ in range(len(self._free)):
                self._begin(self._free.popleft(), time.monotonic_ns())
        await asyncio.wait([self._stopped], timeout=max(0.0, (self._end_ns - time.monotonic_ns()) / _NS))
        if ticker is not None:
            self._pump()
            ticker.close()
        self.stop()
        if ticker is not None:
            sent = max(self._next, self._due_before(self._from_ns))
            self.counts.not_sent = max(0, self._due_before(self._end_ns) - sent)
        await self._drain()
        watch.cancel()
        self.counts.latency_us, self.counts.errors = dict(self._latency), dict(self._errors)
        self.counts.cpu_s = time.process_time()
        return self.counts

    def stop(self) -> None:
        """Begin nothing more."""
        if not self._stopping:
            self._stopping = True
            self._end_ns = min(self._end_ns, time.monotonic_ns())
            self._stopped.set_result(None)

    # ---- one request

    def _pump(self) -> None:
        now_ns = time.monotonic_ns()
        while self._free and not self._stopping:
            due_ns = self._start_ns + int(self._next * self._interval_ns)
            if due_ns > now_ns or due_ns >= self._end_ns:
                return
            self._next += 1
            if now_ns - due_ns > LATE_NS and due_ns >= self._from_ns:
                self.counts.late += 1
            self._begin(self._free.popleft(), due_ns)

    def _begin(self, slot: Slot, since_ns: int) -> None:
        slot.request = self._orders.next((since_ns - self._start_ns) / _NS)
        slot.since_ns = since_ns
        slot.attempts = 0
        self._busy += 1
        self._send(slot)

    def _send(self, slot: Slot) -> None:
        if slot.request is None or slot.invoked_ns or slot.client is None or slot.client.transport is None:
            return  # sent already, or the new connection sends it
        slot.attempts += 1
        slot.invoked_ns = time.monotonic_ns()
        slot.client.ask(slot.request.data)

    def _answered(self, client: Client, status: int, head: bytes, body: bytes) -> None:
        slot = self._slots[client]
        self._attempted(slot, status, body)
        if status in AGAIN and slot.attempts < ATTEMPTS_MAX:
            self._again(slot, min(retry_after_s(head), RETRY_AFTER_S_MAX))
        else:
            self._finish(slot, status, body)

    def _lost(self, client: Client, why: str) -> None:
        slot = self._slots.pop(client)
        slot.client = None
        open_ = slot.invoked_ns != 0
        if open_:
            self._attempted(slot, 0, b"")
        if slot.request is not None and open_ and slot.attempts >= ATTEMPTS_MAX:
            self._finish(slot, 0, why.encode())
        elif open_:
            self.counts.retries += slot.since_ns >= self._from_ns
        if not self._stopping or slot.request is not None:
            task = self._loop.create_task(self._reconnect(slot))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _again(self, slot: Slot, least_s: float) -> None:
        self.counts.retries += slot.since_ns >= self._from_ns
        self._loop.call_later(max(least_s, PAUSE_S * 2 ** (slot.attempts - 1)), self._send, slot)

    def _attempted(self, slot: Slot, status: int, body: bytes) -> None:
        if self._history is not None and slot.request is not None:
            self._history.write(slot.request, slot.invoked_ns, time.monotonic_ns() if status else None, status, body)
        slot.invoked_ns = 0

    def _finish(self, slot: Slot, status: int, body: bytes) -> None:
        now_ns = time.monotonic_ns()
        too_late = _too_late(slot.request, status, body)
        ok = 200 <= status < 300 or too_late
        if slot.since_ns >= self._from_ns:
            counts = self.counts
            counts.requests += 1
            if ok:
                counts.ok += 1
                counts.too_late += too_late
                counts.in_time += now_ns <= self._end_ns
                self._latency[(now_ns - slot.since_ns) // 1000] += 1
            else:
                self._errors[_name(status, body)] += 1
        if ok and slot.request is not None and slot.request.op == "place":
            self._orders.opened(body)
        slot.request = None
        self._busy -= 1
        if self._stopping:
            if not self._busy and not self._idle.done():
                self._idle.set_result(None)
            return
        if slot.client is None or slot.client.closing:
            return  # the new connection frees it
        self._freed(slot, now_ns)

    def _freed(self, slot: Slot, now_ns: int) -> None:
        if self._plan.rate:
            self._free.append(slot)
            self._pump()
        elif now_ns < self._end_ns:
            self._begin(slot, now_ns)

    # ---- connections

    async def _connect(self, slot: Slot) -> None:
        _, client = await self._loop.create_connection(
            lambda: Client(self._answered, self._lost), self._plan.host, self._plan.port
        )
        slot.client = client
        self._slots[client] = slot

    async def _reconnect(self, slot: Slot) -> None:
        idle = slot.request is None
        pause_s = 0.0 if slot.attempts <= 1 else PAUSE_S * 2 ** (slot.attempts - 1)
        while not self._stopping or slot.request is not None:
            await asyncio.sleep(pause_s)
            try:
                await self._connect(slot)
            except OSError:
                pause_s = min(max(2 * pause_s, PAUSE_S), 1.0)
                continue
            if slot.request is not None:
                self._send(slot)
            elif idle and not self._stopping and slot not in self._free:
                self._freed(slot, time.monotonic_ns())
            return

    async def _watch(self) -> None:
        """A request without answer is given up after REPLY_TIMEOUT_S."""
        while True:
            await asyncio.sleep(0.5)
            oldest_ns = time.monotonic_ns() - int(REPLY_TIMEOUT_S * _NS)
            for slot in self._all:
                if slot.invoked_ns and slot.invoked_ns < oldest_ns and slot.client is not None:
                    slot.client.give_up("timeout")

    # ---- the end

    def _due_before(self, ns: int) -> int:
        """How many requests are meant to be sent before this moment."""
        count = max(0, int((ns - self._start_ns) / self._interval_ns))
        while self._start_ns + int(count * self._interval_ns) < ns:
            count += 1
        return count

    async def _drain(self) -> None:
        if self._busy:
            await asyncio.wait([self._idle], timeout=DRAIN_S)
        for slot in self._all:
            if slot.request is not None:
                if slot.invoked_ns:
                    self._attempted(slot, 0, b"")
                self._finish(slot, 0, b"unanswered at the end")
        for task in list(self._tasks):
            task.cancel()
        for slot in self._all:
            if slot.client is not None and slot.client.transport is not None:
                slot.client.transport.close()
        await asyncio.sleep(0)
        if self._history is not None:
            self._history.flush()


def _too_late(request: Request | None, status: int, body: bytes) -> bool:
    """Whether a cancel met an order that was filled meanwhile: that is the right answer, and no failure."""
    return (
        status == 409 and request is not None and request.op == "cancel" and _name(status, body) == "409 order_closed"
    )


def _name(status: int, body: bytes) -> str:
    """An error's name in the report: status and code, or what happened to the connection."""
    if not status:
        return f"no answer: {body.decode('ascii', 'replace')[:60]}"
    try:
        code = msgspec.json.decode(body).get("code")
    except (msgspec.DecodeError, AttributeError):
        code = None
    return f"{status} {code}" if code else str(status)
