"""Whether an engine decides as fast as it should: the p99 of the last WINDOW_S, syncs excluded, against max_latency_us.

It is judged once there are SAMPLES_MIN samples; with fewer, nothing is said to be slow. Going above the limit and coming
back are one log line each. Nothing is stopped: who acts on it reads `exceeded`.
"""

from __future__ import annotations

import logging
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable

logger = logging.getLogger(__name__)

WINDOW_S = 10.0
SAMPLES_MIN = 1000
JUDGE_S = 0.5


class DecisionLatency:
    def __init__(self, max_latency_us: int, sample_rate: float) -> None:
        """A `sample_rate` of 0 measures nothing."""
        self.max_us = max_latency_us
        self.measures = sample_rate > 0
        self.exceeded = False
        self.p99_us: int | None = None  # None with too few samples
        self.samples = 0  # in the window, when it was last judged
        self.collect: Callable[[], dict[int, int]] = dict  # decisions that were counted elsewhere, by microseconds
        self.sample_rate = sample_rate
        self._open: defaultdict[int, int] = defaultdict(int)  # microseconds, rounded up -> how many decisions
        self._window: deque[tuple[float, dict[int, int]]] = deque()  # when it ended, and what was counted

    def add(self, took_ns: int) -> None:
        """One decision. On the order path: a division and a dictionary."""
        if self.sample_rate >= 1 or random.random() < self.sample_rate:
            self._open[-(-took_ns // 1000)] += 1

    def judge(self, now_s: float) -> None:
        """`now_s` is monotonic. Called every JUDGE_S."""
        for us, count in self.collect().items():
            self._open[us] += count
        if self._open:
            self._window.append((now_s, self._open))
            self._open = defaultdict(int)
        while self._window and self._window[0][0] <= now_s - WINDOW_S:
            self._window.popleft()
        counts: Counter[int] = Counter()
        for _, counted in self._window:
            counts.update(counted)
        self.samples = counts.total()
        self.p99_us = _p99(counts, self.samples) if self.samples >= SAMPLES_MIN else None
        exceeds = self.p99_us is not None and self.p99_us > self.max_us
        if exceeds != self.exceeded:
            self.exceeded = exceeds
            self._say()

    def _say(self) -> None:
        fields = {"p99_us": self.p99_us, "max_latency_us": self.max_us, "samples": self.samples, "window_s": WINDOW_S}
        if self.exceeded:
            logger.warning("decisions are slow: their p99 is above max_latency_us", extra={"fields": fields})
        else:
            logger.warning("decisions are no longer slower than max_latency_us", extra={"fields": fields})


def _p99(counts: Counter[int], total: int) -> int:
    """The smallest value that at least 99 of 100 do not exceed."""
    above = total // 100
    for value in sorted(counts, reverse=True):
        above -= counts[value]
        if above < 0:
            return value
    raise ValueError("no samples")
