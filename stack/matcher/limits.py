"""How many orders per second a partition takes."""

from __future__ import annotations

import time
from collections.abc import Callable


class RateLimit:
    """A bucket that fills with `per_second` tokens a second and holds one second's worth."""

    def __init__(self, per_second: int) -> None:
        self.clock: Callable[[], float] = time.monotonic
        self._per_second = per_second
        self._tokens = float(per_second)
        self._filled_s = self.clock()

    def take(self) -> bool:
        now_s = self.clock()
        self._tokens = min(self._per_second, self._tokens + (now_s - self._filled_s) * self._per_second)
        self._filled_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
