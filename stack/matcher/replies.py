"""Which events answer a command. Called at its release, when the event log holds its group."""

from __future__ import annotations

import logging

from engine.records import EVENT_BYTES
from stack.matcher.event_log import EventLog
from stack.matcher.group import ReplyTarget, Shape

logger = logging.getLogger(__name__)

_ACCOUNT = slice(64, 68)
_OWN, _AS_THEY_ARE = int(Shape.OWN), int(Shape.AS_THEY_ARE)


class Asked:
    """One command that waits for its group."""

    __slots__ = ("account", "events", "order", "outcome", "shape", "target", "token")

    def __init__(
        self, target: ReplyTarget, token: int, outcome: int, shape: int, order: int, account: int, events: bytes
    ) -> None:
        self.target = target
        self.token = token
        self.outcome = outcome
        self.shape = shape
        self.order = order  # the sequence of the order that the shape needs
        self.account = account  # who asked; 0: an operator
        self.events = events  # the command's own

    def tell(self, log: EventLog) -> None:
        shown = answer(self.shape, self.order, self.account, self.events, log)
        try:
            self.target.reply(self.token, self.outcome, shown)
        except Exception:
            logger.exception("a reply could not be handed over")

    def lose(self) -> None:
        self.target.lost(self.token)


def answer(shape: int, order: int, account: int, events: bytes, log: EventLog) -> bytes:
    """The fields of an Asked."""
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
