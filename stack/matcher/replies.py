"""Which events answer a command. Called at its release, when the event log holds its group."""

from __future__ import annotations

from engine.records import EVENT_BYTES
from stack.matcher.event_log import EventLog
from stack.matcher.group import Shape

_ACCOUNT = slice(64, 68)
_OWN, _AS_THEY_ARE = int(Shape.OWN), int(Shape.AS_THEY_ARE)


def answer(shape: int, order: int, account: int, events: bytes, log: EventLog) -> bytes:
    """The fields of a Waiting."""
    if shape == _OWN:
        return events if len(events) == EVENT_BYTES else _where(events, 8, order)
    if shape == _AS_THEY_ARE:
        return events
    chain = log.chain(order)
    if shape == Shape.CHAIN:
        return chain
    if shape == Shape.ORIGINAL:
        return _where(chain, 0, order)
    may_see = not account or int.from_bytes(chain[_ACCOUNT], "little") == account
    return events + chain if may_see else events


def _where(events: bytes, offset: int, number: int) -> bytes:
    """Those events whose eight bytes at `offset` (0: sequence, 8: order) are `number`."""
    wanted = number.to_bytes(8, "little")
    return b"".join(
        events[at : at + EVENT_BYTES]
        for at in range(0, len(events), EVENT_BYTES)
        if events[at + offset : at + offset + 8] == wanted
    )
