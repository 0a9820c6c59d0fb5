"""What the gateway counts. Labels have few values: routes are templates, statuses are three digits.

Gauges are `mostrecent` per component, so that a restarted process takes the place of the one before it. The client
library decides when it is imported where values are kept: `__main__` sets its folder first.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Mapping
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

REQUEST_BOUNDS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TRIP_BOUNDS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
READS_MAX = 20  # of all files, while some are taken away
REQUESTS = Counter("hft_gateway_requests", "HTTP requests answered", ["component", "route", "status"])
REQUEST_SECONDS = Histogram(
    "hft_gateway_request_seconds",
    "From the whole head of a request to the end of its answer",
    ["component", "route"],
    buckets=REQUEST_BOUNDS_S,
)
ROUND_TRIP_SECONDS = Histogram(
    "hft_gateway_engine_round_trip_seconds",
    "From a command to its durable reply",
    ["component", "partition"],
    buckets=TRIP_BOUNDS_S,
)
HELD = Gauge(
    "hft_gateway_held_requests", "Requests that wait for an engine", ["component"], multiprocess_mode="mostrecent"
)
LINK_UP = Gauge(
    "hft_gateway_engine_link_up",
    "1 while the engine of the partition is connected and not stopping",
    ["component", "partition"],
    multiprocess_mode="mostrecent",
)


class Observed:
    """Values for a histogram, counted here: at ten thousands a second, `observe` would cost as much as the orders do."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def add_to(self, histogram: Histogram) -> None:
        """What `observe` does for one value."""
        histogram._sum.inc(self._sum)
        for bucket, count in zip(histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)


class Metrics:
    """The metrics of one component, with its label already in place."""

    def __init__(self, component: str, sample_rate: float) -> None:
        self._component = component
        self._sample_rate = sample_rate
        self._requests: dict[tuple[str, int], Counter] = {}
        self._seconds: dict[str, Histogram] = {}
        self.held = HELD.labels(component)
        self.held.set(0)

    def answered(self, route: str, status: int, seconds: float) -> None:
        self._counter(route, status).inc()
        if self._sample_rate >= 1 or random.random() < self._sample_rate:
            self._histogram(route).observe(seconds)

    def answered_many(
        self, answers: Mapping[tuple[str, int], int], seconds: Mapping[str, Observed], trips: Mapping[int, Observed]
    ) -> None:
        """Answers by route and status, their times by route, and round trips by partition."""
        for (route, status), count in answers.items():
            self._counter(route, status).inc(count)
        for route, observed in seconds.items():
            observed.add_to(self._histogram(route))
        for partition, observed in trips.items():
            observed.add_to(self.round_trip(partition))

    def _counter(self, route: str, status: int) -> Counter:
        counter = self._requests.get((route, status))
        if counter is None:
            counter = self._requests[route, status] = REQUESTS.labels(self._component, route, str(status))
        return counter

    def _histogram(self, route: str) -> Histogram:
        histogram = self._seconds.get(route)
        if histogram is None:
            histogram = self._seconds[route] = REQUEST_SECONDS.labels(self._component, route)
        return histogram

    def round_trip(self, partition: int) -> Histogram:
        return ROUND_TRIP_SECONDS.labels(self._component, str(partition))

    def link(self, partition: int) -> Gauge:
        return LINK_UP.labels(self._component, str(partition))


def everything(folder: str) -> bytes:
    """The metrics of all services that write into `folder`, summed; reads files, so not for the event loop."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=folder)
    for _ in range(READS_MAX - 1):
        with suppress(FileNotFoundError):  # of a process that is gone for good, taken away while we read
            return generate_latest(registry)
    return generate_latest(registry)
