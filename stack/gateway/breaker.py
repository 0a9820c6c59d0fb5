"""A dependency that is down costs nothing per request: after a failure it is left alone for a moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Unavailable(Exception):
    """The dependency does not answer; the message says since when and why."""


class Breaker:
    """Runs calls with a time limit. After a failure all calls fail at once for `pause_s`; then one may try."""

    def __init__(
        self, name: str, failures: tuple[type[BaseException], ...], *, timeout_s: float, pause_s: float
    ) -> None:
        self._name = name
        self._failures = (*failures, TimeoutError, OSError)
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._closed_until = 0.0
        self._trying = False
        self.why = ""  # of the last failure; empty while all is well

    async def call(self, action: Callable[[], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        if self.why and (self._trying or loop.time() < self._closed_until):
            raise Unavailable(f"{self._name} does not answer: {self.why}")
        self._trying = bool(self.why)
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await action()
        except self._failures as error:
            why = str(error) or f"no answer within {self._timeout_s:g} s"
            if not self.why:
                logger.warning("%s does not answer: %s", self._name, why)
            self.why = why
            self._closed_until = loop.time() + self._pause_s
            raise Unavailable(f"{self._name} does not answer: {why}") from error
        finally:
            self._trying = False
        if self.why:
            logger.info("%s answers again", self._name)
            self.why = ""
        return result
