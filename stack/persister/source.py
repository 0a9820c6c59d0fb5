"""Events from the engine, asked for in small pieces, so that no answer keeps its loop from orders for long."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from engine.records import EVENT_BYTES, Event
from stack.persister.database import Batch, Checkpoint, Damage
from stack.wire.link import Link

WAIT_MS = 1000
PIECE_EVENTS = 8192  # 1 MiB


class Pulled(NamedTuple):
    batch: Batch | None  # None: nothing new for a while
    end: int  # how many events the engine has


class Source:
    def __init__(self, link: Link, partition: int, batch_events: int) -> None:
        self._link = link
        self._partition = partition
        self.batch_events = batch_events

    async def pull(self, after: Checkpoint, pause_s: float) -> Pulled:
        """After `pause_s`: what there is behind `after`, up to `batch_events`. Raises Damage, LinkLost and QueryRefused."""
        await asyncio.sleep(pause_s)
        pieces: list[bytes] = []
        left, last = self.batch_events, after
        while True:
            answer = await self._link.query(
                "events", **{"from": last.ordinal}, limit=min(left, PIECE_EVENTS), wait_ms=0 if pieces else WAIT_MS
            )
            end = answer.document["end"]
            if not pieces and end < after.ordinal:
                raise Damage(
                    f"partition {self._partition}: PostgreSQL has {after.ordinal} events up to sequence {after.sequence}, the "
                    f"engine only {end}: this database belongs to another journal, or the journal lost its end"
                )
            if not answer.data:
                break
            last = self._follows(last, answer.data, answer.document["next"])
            pieces.append(answer.data)
            left -= len(answer.data) // EVENT_BYTES
            if left <= 0 or last.ordinal >= end:
                break
        return Pulled(Batch(after, last, pieces) if pieces else None, end)

    def _follows(self, last: Checkpoint, events: bytes, following: int) -> Checkpoint:
        first = Event.unpack(events)
        ordinal = last.ordinal + len(events) // EVENT_BYTES
        if (first.sequence, first.index) != (last.sequence + 1, 0) or following != ordinal:
            raise Damage(
                f"partition {self._partition}: event {last.ordinal} should be the first of sequence {last.sequence + 1}, the "
                f"engine has {first.sequence}.{first.index} there: this database belongs to another journal"
            )
        return Checkpoint(Event.unpack(events, len(events) - EVENT_BYTES).sequence, ordinal)
