"""Commands that become durable together, and what has to be said to whom once they are."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol, TypeAlias

from engine.journal import SegmentHeader


class ReplyTarget(Protocol):
    """Who submitted a command. Exactly one of the two methods is called for each, once."""

    def reply(self, token: int, outcome: int, events: bytes) -> None:
        """`outcome` is a `stack.wire.frames.Outcome`; `events` are whole encoded events, see REPLIES there."""

    def lost(self, token: int) -> None:
        """The journal failed while this command was being written: nobody knows whether it is durable."""


class Shape(IntEnum):
    """Which events answer a command."""

    AS_THEY_ARE = 0
    OWN = 1  # of a NEW: those of its own order, not the makers'
    CHAIN = 2  # all of the order so far
    ORIGINAL = 3  # a NEW repeated: what was answered then
    REFUSED_WITH_CHAIN = 4  # the REFUSED event, then the chain of the order it names, if its owner asks


# One element per command of a group; a plain tuple, because one is made for every order:
# target, token, outcome, shape, sequence of the order that the shape needs, who asked (0: an operator), events
Waiting: TypeAlias = tuple[ReplyTarget, int, int, int, int, int, bytes]


class Group:
    __slots__ = ("chain", "events", "header", "records", "sequence", "waiting", "worst_ns")

    def __init__(self, header: SegmentHeader | None = None) -> None:
        self.header = header  # of the segment that begins with this group
        self.records = b""  # filled when the group is closed
        self.sequence = 0  # of its last record; 0 while it has none
        self.chain = 0  # after its last record
        self.events: list[bytes] = []  # one element per command, in order
        self.waiting: list[Waiting] = []
        self.worst_ns = 0  # the longest decision in it
