"""The stages of order requests as Prometheus histograms: see stages.py."""

from __future__ import annotations

from prometheus_client import Histogram

from stack.door.stages import BOUNDS_NS, NAMES, Stages

_STAGE = Histogram(
    "hft_stage_seconds",
    "time of an order request in each stage: door (read, parse), match, journal (wait, write, sync), reply; and in total",
    ["partition", "stage"],
    buckets=[bound / 1e9 for bound in BOUNDS_NS],
)


class StageMetrics:
    def __init__(self, partition: int, stages: Stages) -> None:
        self._stages = stages
        self._histograms = {name: _STAGE.labels(str(partition), name) for name in NAMES}
        self._published = {name: (0, [0] * (len(BOUNDS_NS) + 1)) for name in NAMES}

    def publish(self) -> None:
        for name, (sum_ns, counts) in self._stages.read().items():
            before_ns, before = self._published[name]
            if counts == before:
                continue
            # What `observe` does for one value, for all since the last time: there may be a hundred thousand a second.
            histogram = self._histograms[name]
            histogram._sum.inc((sum_ns - before_ns) / 1e9)
            for place, count in enumerate(counts):
                if count != before[place]:
                    histogram._buckets[place].inc(count - before[place])
            self._published[name] = sum_ns, counts
