"""Gives each command its sequence and time, makes its record, applies it, and keeps both until their group is closed.

Plain Python: the specification of sequencer_cython.pyx, and what runs without a compiler.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.api import MatchingEngine
from engine.journal import Encoder, SegmentHeader, hash_events
from stack.matcher.group import Waiting

IMPLEMENTATION = "python"


class Group:
    __slots__ = ("asked", "chain", "commands", "events", "header", "records", "sequence", "waiting", "worst_ns")

    def __init__(self) -> None:
        self.header: SegmentHeader | None = None  # of the segment that begins with this group
        self.records = b""  # filled when the group is closed
        self.sequence = 0  # of its last record; 0 while it has none
        self.chain = 0  # after its last record
        self.commands = 0  # how many records
        self.events = bytearray()  # of all of them, in order
        self.waiting: list[Waiting] = []
        self.asked = 0  # commands that `waiting` stands for; repeats have no record
        self.worst_ns = 0  # the longest decision in it


class Sequencer:
    def __init__(self, engine: MatchingEngine, encoder: Encoder, *, room: int, events_hash: int, time_ns: int) -> None:
        self.engine = engine
        self.encoder = encoder
        self.clock: Callable[[], int] = time.time_ns
        self.room = room  # records that still fit into the newest segment; counted when a record is made
        self.events_hash = events_hash  # over the events of all closed groups
        self.time_ns = time_ns  # of the last record
        self.unacknowledged = 0  # commands that wait for the disk, of all groups
        self.group = Group()  # the open one

    def expiry_due(self) -> bool:
        """Whether an order's time has come that the engine holds."""
        at_ns = self.engine.next_expiry
        return at_ns != 0 and at_ns <= max(self.time_ns, self.clock())

    def decide(self, command: bytes) -> bytes:
        """The command's events. There is room for its record."""
        group = self.group
        self.time_ns = max(self.time_ns, self.clock())  # the clock may be set back, recorded time never is
        record = self.encoder.append(command, self.time_ns, None if group.sequence else self.events_hash)
        self.room -= 1
        events = self.engine.apply(record)
        group.events += events
        group.commands += 1
        group.sequence = self.encoder.sequence
        return events

    def close(self) -> Group:
        """The open group, with its records; the next command opens another."""
        group = self.group
        if group.sequence:
            group.records = self.encoder.take()
            group.chain = self.encoder.chain
            self.events_hash = hash_events(self.events_hash, group.events)
        self.group = Group()
        return group
