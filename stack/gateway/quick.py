"""Orders that the compiled parser is certain of, from the connection's bytes to the link and back: no ASGI, no task.

What it is not certain of takes the ordinary way (hot.py), whose answers these are. So does a command that the link lost or a
stopping engine turned away: `Partition.submit` goes on with it, knowing whether it was sent. One that an engine does not
answer within engine_timeout_s ends with outcome_unknown, found by a sweep, because a timer for each would cost more than the rest.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from functools import lru_cache, partial
from typing import Any, Protocol

from engine.records import EVENT_BYTES, EventKind
from stack.door.codec import DoorTables, order_json, parse_batch, parse_order
from stack.door.request import json_answer, read_request
from stack.gateway.errors import ApiError
from stack.gateway.gateway import Gateway
from stack.gateway.metrics import REQUEST_BOUNDS_S, TRIP_BOUNDS_S, Observed
from stack.gateway.partition import Partition
from stack.gateway.refusals import refused, worded
from stack.wire.frames import Outcome
from stack.wire.link import LinkLost, Reply

logger = logging.getLogger(__name__)

SWEEP_S = 0.25
_KIND, _REASON, _SYMBOL = 76, 81, slice(12, 16)  # kind and reason of an encoded event, symbol of a command
_REFUSED = int(EventKind.REFUSED)
_STATUS = {Outcome.DONE: (201, b"HTTP/1.1 201 Created"), Outcome.REPEAT: (200, b"HTTP/1.1 200 OK")}
worded_refusal = lru_cache(1024)(refused)


class Connection(Protocol):
    def answered(self, answer: bytes) -> None: ...


class Quick:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._tables: dict[int, DoorTables] = {}
        self._owned: dict[tuple[int, bytes], bool] = {}  # partition, symbol's number: whether the map says so too
        self.open: dict[Request, None] = {}  # oldest first
        self._answers: Counter[tuple[str, int]] = Counter()  # since they were last published
        self._seconds: dict[str, Observed] = {}  # by route
        self._trips: dict[int, Observed] = {}  # by partition
        self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def take(self, connection: Connection, data: bytes) -> bool:
        """Whether the one request of these bytes is on its way now; its connection will be told."""
        start = time.perf_counter()
        found = read_request(data)
        if found is None:
            return False
        batch, authorization, body = found
        settings, keys = self._gateway.settings, self._gateway.keys
        account = None
        if keys is not None:
            caller = keys.caller(authorization)
            if caller is None:
                return False
            account = caller.account
        if len(body) > settings.max_body_bytes:
            return False
        for partition in self._gateway.partitions.values():
            if partition.link.connected:
                tables = self._tables_of(partition)
                commands = parse_batch(body, tables, account) if batch else parse_order(body, tables, account)
                if commands is not None:
                    break
        else:
            return False
        if not batch:
            commands = [commands]
        if len(commands) > settings.max_batch or not all(self._owns(partition, one[_SYMBOL]) for one in commands):
            return False
        self.open[Request(self, connection, partition, tables, commands, start, batch=batch)] = None
        return True

    def _tables_of(self, partition: Partition) -> DoorTables:
        tables = self._tables.get(partition.number)
        if tables is None or tables.source is not partition.link.tables:
            tables = self._tables[partition.number] = DoorTables(partition.link.tables)
            self._owned.clear()
        return tables

    def _owns(self, partition: Partition, symbol: bytes) -> bool:
        """Its engine may know an instrument of old that another partition owns now."""
        owns = self._owned.get((partition.number, symbol))
        if owns is None:
            name = partition.link.tables.instruments[int.from_bytes(symbol, "little")].symbol
            owns = self._owned[partition.number, symbol] = self._gateway.map.owner(name) == partition.number
        return owns

    # ---- now and then

    def _sweep(self) -> None:
        late = time.perf_counter() - self._gateway.settings.engine_timeout_s
        for request in list(self.open):
            if request.start > late:
                break
            request.give_up()
        self.publish()
        self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def count(self, route: str, status: int, seconds: float, partition: int, trip_s: float) -> None:
        self._answers[route, status] += 1
        observed = self._seconds.get(route) or self._seconds.setdefault(route, Observed(REQUEST_BOUNDS_S))
        observed.add(seconds)
        observed = self._trips.get(partition) or self._trips.setdefault(partition, Observed(TRIP_BOUNDS_S))
        observed.add(trip_s)

    def publish(self) -> None:
        self._gateway.metrics.answered_many(self._answers, self._seconds, self._trips)
        self._answers, self._seconds, self._trips = Counter(), {}, {}

    def close(self) -> None:
        self._timer.cancel()
        self.publish()


class Request:
    """One request: its commands are sent when it is made, and its connection is told when all have their replies."""

    __slots__ = (
        "_batch",
        "_commands",
        "_connection",
        "_left",
        "_partition",
        "_quick",
        "_replies",
        "_sent",
        "_tables",
        "_tasks",
        "start",
    )

    def __init__(
        self, quick: Quick, connection: Connection, partition: Partition, tables: DoorTables, commands: list[bytes],
        start: float, *, batch: bool,
    ) -> None:  # fmt: skip
        self.start = start
        self._quick = quick
        self._connection = connection
        self._partition = partition
        self._tables = tables
        self._commands = commands
        self._batch = batch
        self._replies: list[Reply | ApiError | None] = [None] * len(commands)
        self._left = len(commands)
        self._tasks: set[asyncio.Task[None]] = set()
        for place, command in enumerate(commands):
            partition.link.submit(command).add_done_callback(partial(self._replied, place))
        self._sent = time.perf_counter()

    def _replied(self, place: int, future: asyncio.Future[Reply]) -> None:
        error = future.exception()
        if self._replies[place] is not None:
            return  # given up
        if error is None:
            reply = future.result()
            if reply.outcome == Outcome.STOPPED:
                self._go_on(place, sent=False)
            else:
                self._take(place, reply)
        elif isinstance(error, LinkLost):
            self._go_on(place, sent=error.sent)
        else:
            logger.error("an order failed on its way", exc_info=error)
            self._take(place, ApiError("internal", "our own bug; the gateway's log has the details"))

    def _go_on(self, place: int, *, sent: bool) -> None:
        """The ordinary way from here on, which has time limits of its own."""
        self._quick.open.pop(self, None)
        task = asyncio.get_running_loop().create_task(self._again(place, sent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _again(self, place: int, sent: bool) -> None:
        try:
            reply, _ = await self._partition.submit(self._commands[place], sent=sent)
            self._take(place, reply)
        except ApiError as error:
            self._take(place, error)
        except Exception as error:
            logger.error("an order failed on its way", exc_info=error)
            self._take(place, ApiError("internal", "our own bug; the gateway's log has the details"))

    def give_up(self) -> None:
        for place, reply in enumerate(self._replies):
            if reply is None:
                self._take(place, self._partition.unanswered())

    def _take(self, place: int, reply: Reply | ApiError) -> None:
        if isinstance(reply, ApiError) and reply.code == "outcome_unknown":
            command = self._commands[place]
            reply.more["client_order_id"] = command[48 : 48 + command[5]].decode()
        self._replies[place] = reply
        self._left -= 1
        if self._left:
            return
        self._quick.open.pop(self, None)
        replied = time.perf_counter()
        if self._batch:
            answer = json_answer(b"HTTP/1.1 200 OK", b"[%b]" % b",".join(self._element(one) for one in self._replies))
            status = 200
        else:
            status, answer = self._answer(reply)
        self._connection.answered(answer)
        route = "POST /orders/batch" if self._batch else "POST /orders"
        took_s = time.perf_counter() - self.start
        self._quick.count(route, status, took_s, self._partition.number, replied - self._sent)

    def _answer(self, reply: Reply | ApiError) -> tuple[int, bytes]:
        words = _refusal(reply)
        if words is not None:
            return int(words[0][9:12]), words[0]
        status, line = _STATUS[reply.outcome]
        return status, json_answer(line, order_json(reply.data, self._partition.number, self._tables))

    def _element(self, reply: Any) -> bytes:
        words = _refusal(reply)
        if words is not None:
            return words[1]
        order = order_json(reply.data, self._partition.number, self._tables)
        return b'{"status":%d,"order":%b}' % (_STATUS[reply.outcome][0], order)


def _refusal(reply: Any) -> tuple[bytes, bytes] | None:
    """The whole answer and the element of a batch's; None when the order was taken."""
    if isinstance(reply, ApiError):
        return worded(reply)
    if reply.outcome in _STATUS:
        if reply.data[_KIND] != _REFUSED:
            return None
        # Only the reason is in the words.
        plain = bytearray(EVENT_BYTES)
        plain[_KIND], plain[_REASON] = _REFUSED, reply.data[_REASON]
        return worded_refusal(Outcome.DONE, bytes(plain))
    return worded_refusal(reply.outcome, b"")
