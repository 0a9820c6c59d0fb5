"""Readers of the event stream that wait for more of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from engine.records import EVENT_BYTES
from stack.matcher.partition import Partition
from stack.matcher.queries import Answered, EventsQuery

WAITING_MAX = 16  # of one connection; a reader of the stream needs one


class TooManyPolls(Exception):
    """This connection has WAITING_MAX unanswered polls already."""


class LongPolls:
    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, tuple[EventsQuery, Answered, asyncio.TimerHandle, object]] = {}
        self._of: Counter[object] = Counter()
        self._next_key = 0
        partition.on_events = self.wake

    def ask(self, query: EventsQuery, answered: Answered, asker: object) -> None:
        """Raises TooManyPolls."""
        if query.first < self._partition.durable_events or not query.wait_ms:
            answered(*self._read(query))
            return
        if self._of[asker] >= WAITING_MAX:
            raise TooManyPolls(f"{WAITING_MAX} polls of this connection wait already")
        self._of[asker] += 1
        self._next_key += 1
        key = self._next_key
        timer = self._loop.call_later(query.wait_ms / 1000, self._time_out, key)
        self._waiting[key] = query, answered, timer, asker

    def forget(self, asker: object) -> None:
        """Its connection is gone."""
        if self._of.pop(asker, 0):
            for key in [key for key, waiting in self._waiting.items() if waiting[3] is asker]:
                self._waiting.pop(key)[2].cancel()

    def wake(self) -> None:
        """More events may be durable."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for key, (query, answered, timer, asker) in waiting.items():
                if query.first < self._partition.durable_events:
                    timer.cancel()
                    self._of[asker] -= 1
                    answered(*self._read(query))
                else:
                    self._waiting[key] = query, answered, timer, asker

    def _time_out(self, key: int) -> None:
        query, answered, _, asker = self._waiting.pop(key)
        self._of[asker] -= 1
        answered(*self._read(query))

    def _read(self, query: EventsQuery) -> tuple[dict[str, Any], bytes]:
        events = self._partition.log.read(query.first, query.limit)
        document = {
            "next": query.first + len(events) // EVENT_BYTES,
            "durable_sequence": self._partition.durable_sequence,
            "end": self._partition.durable_events,
        }
        return document, events

    def close(self) -> None:
        for _, _, timer, _ in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
        self._of.clear()
