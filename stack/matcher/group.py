"""Commands that become durable together, and what has to be said to whom once they are.

A Group is a Sequencer's (sequencer_python.py, or compiled sequencer_cython.pyx). What waits in it is an Asked for each command that
was submitted alone, or one batch of the compiled intake.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from stack.matcher.event_log import EventLog


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


class Waiting(Protocol):
    def tell(self, log: EventLog) -> None:
        """Its group is durable and in the log. Raises only when nobody was told anything."""

    def lose(self) -> None:
        """Nobody knows whether its group is durable."""
