"""Readers of the event stream that wait for more of it."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.records import EVENT_BYTES
from stack.matcher.partition import Partition
from stack.matcher.queries import Answered, EventsQuery


class LongPolls:
    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, tuple[EventsQuery, Answered, asyncio.TimerHandle]] = {}
        self._next_key = 0
        partition.on_events = self.wake

    def ask(self, query: EventsQuery, answered: Answered) -> None:
        if query.first < self._partition.durable_events or not query.wait_ms:
            answered(*self._read(query))
            return
        self._next_key += 1
        key = self._next_key
        timer = self._loop.call_later(query.wait_ms / 1000, self._time_out, key)
        self._waiting[key] = query, answered, timer

    def wake(self) -> None:
        """More events may be durable."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for key, (query, answered, timer) in waiting.items():
                if query.first < self._partition.durable_events:
                    timer.cancel()
                    answered(*self._read(query))
                else:
                    self._waiting[key] = query, answered, timer

    def _time_out(self, key: int) -> None:
        query, answered, _ = self._waiting.pop(key)
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
        for _, _, timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
