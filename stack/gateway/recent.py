"""Orders that changed after what PostgreSQL holds, from the engine's event log.

PostgreSQL lags behind the engine by some milliseconds, or by as long as the persister was away. An order that was taken and
closed in that time is neither live nor in history, and one that is in history may look open there. Both are found by reading
the events from the checkpoint on, as long as they are few enough to be read for one request.
"""

from __future__ import annotations

import asyncio
import struct

from engine.records import EventKind
from stack.gateway.errors import ApiError
from stack.gateway.partition import Partition
from stack.gateway.replies import Order
from stack.wire.order import fold

EVENTS_MAX = 100_000
EVENTS_PER_QUERY = 20_000
ORDERS_AT_ONCE = 100

_EVENT = struct.Struct("<8xQQ40xI8xB51x")  # order, time, account, kind of an event
_ACCEPTED, _REFUSED = int(EventKind.ACCEPTED), int(EventKind.REFUSED)


async def changed_since(
    partition: Partition, ordinal: int, account: str, after: int, since_ns: int, limit: int
) -> list[Order]:
    """At most `limit` orders with events from `ordinal` on, accepted after sequence `after`, ascending; raises ApiError."""
    number = (await partition.tables()).account_ids.get(account)
    if number is None:
        return []
    touched = await _touched(partition, ordinal, number, since_ns)
    sequences = sorted(sequence for sequence in touched if sequence > after)
    found: list[Order] = []
    for start in range(0, len(sequences), ORDERS_AT_ONCE):
        wanted = sequences[start : start + ORDERS_AT_ONCE]
        for answer in await asyncio.gather(*(partition.query("order", order=sequence) for sequence in wanted)):
            order = fold(answer.events, partition.number, partition.link.tables)
            if order["created_ns"] >= since_ns:
                found.append(order)
        if len(found) >= limit:
            break
    return found[:limit]


async def _touched(partition: Partition, ordinal: int, account: int, since_ns: int) -> set[int]:
    """Sequences of the account's orders with events from `ordinal` on, without those known to be older than `since_ns`."""
    touched: set[int] = set()
    older: set[int] = set()
    end, first = None, ordinal
    while end is None or first < end:
        answer = await partition.query("events", **{"from": first, "limit": EVENTS_PER_QUERY})
        if end is None:
            end = answer.document["end"]
            _refuse_too_many(partition, end - ordinal)
        for order, time_ns, who, kind in _EVENT.iter_unpack(answer.data):
            if who == account and order and kind != _REFUSED:
                touched.add(order)
                if kind == _ACCEPTED and time_ns < since_ns:
                    older.add(order)
        first = answer.document["next"]
    return touched - older


def _refuse_too_many(partition: Partition, behind: int) -> None:
    if behind > EVENTS_MAX:
        raise ApiError(
            "history_behind",
            f"PostgreSQL is {behind} events behind engine {partition.number}; with more than {EVENTS_MAX} a list of orders "
            "would have gaps. Ask again when it has caught up (see /health), or for live orders alone (live=true)",
        )
