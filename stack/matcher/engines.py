"""The engine of a start, and the memory of its tables.

With `hft_mode` no order may wait for the kernel's zeroing, so all of it is taken before the doors open: by a thread, beside
the reading of snapshot and journal, because on a cold machine it costs as much as they do.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import engine
from engine.api import MatchingEngine
from stack.settings import EngineSettings

if TYPE_CHECKING:
    from engine.matching import Engine


class Engines:
    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tables")
        self._taking: Future[None] | None = None

    def make(self) -> MatchingEngine:
        """One without orders; whoever had the one before has let go of it. Raises RuntimeError, ValueError and MemoryError."""
        self._wait()
        settings = self._settings
        book = engine.create(
            settings.implementation,
            max_live_orders=settings.max_live_orders,
            client_ids_max=settings.client_ids_max,
            faulted_in=settings.hft_mode,
        )
        if settings.hft_mode and book.implementation == "cython":
            self._taking = self._thread.submit(cast("Engine", book).fault_in)
        return book

    def close(self) -> None:
        """The memory of the last one is there when this returns."""
        self._wait()
        self._thread.shutdown()

    def _wait(self) -> None:
        if self._taking is not None:
            self._taking.result()
            self._taking = None  # it holds the engine
