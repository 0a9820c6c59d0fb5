"""Who keeps half a request or an unread answer at a door too long is disconnected; nginx does neither."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

logger = logging.getLogger(__name__)

SWEEP_S = 10.0
SWEEPS_MAX = 3


class Swept(Protocol):
    def sweep(self) -> int:
        """How many sweeps in a row it has waited for its client, this one included."""

    def abort(self) -> None: ...


class Sweeper:
    def __init__(self, loop: asyncio.AbstractEventLoop, connections: set[Swept]) -> None:
        """`connections` is read anew at each sweep."""
        self._loop = loop
        self._connections = connections
        self._timer = loop.call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        late = [connection for connection in self._connections if connection.sweep() >= SWEEPS_MAX]
        for connection in late:
            connection.abort()
        if late:
            logger.warning("disconnected %d clients that neither finish a request nor read an answer", len(late))
        self._timer = self._loop.call_later(SWEEP_S, self._sweep)

    def stop(self) -> None:
        self._timer.cancel()
