"""Orders that were accepted after what PostgreSQL holds, from the engine's event log.

PostgreSQL lags behind the engine by some milliseconds, or by as long as the persister was away. What was accepted in that time
is found by reading the events from the checkpoint on, as long as they are few enough to be read for one request.
"""

from __future__ import annotations

import struct

from engine.records import EventKind
from stack.gateway.errors import ApiError
from stack.gateway.partition import Partition

EVENTS_MAX = 100_000
EVENTS_PER_QUERY = 20_000

_EVENT = struct.Struct("<8xQQ40xI8xB51x")  # order, time, account, kind of an event
_ACCEPTED = int(EventKind.ACCEPTED)


async def accepted_since(partition: Partition, ordinal: int, account: int, after: int, since_ns: int) -> list[int]:
    """Sequences above `after` of the account's orders accepted from event `ordinal` on, ascending; raises ApiError."""
    found: list[int] = []
    end, first = None, ordinal
    while end is None or first < end:
        answer = await partition.query("events", **{"from": first, "limit": EVENTS_PER_QUERY})
        if end is None:
            end = answer.document["end"]
            _refuse_too_many(partition, end - ordinal)
        found += [
            order
            for order, time_ns, who, kind in _EVENT.iter_unpack(answer.data)
            if who == account and kind == _ACCEPTED and order > after and time_ns >= since_ns
        ]
        first = answer.document["next"]
    return found


def _refuse_too_many(partition: Partition, behind: int) -> None:
    if behind > EVENTS_MAX:
        raise ApiError(
            "history_behind",
            f"PostgreSQL is {behind} events behind engine {partition.number}; with more than {EVENTS_MAX} a list of orders "
            "would have gaps. Ask again when it has caught up (see /health), or for live orders alone (live=true)",
        )
