"""A partition's tally as Prometheus metrics, published a few times a second and never on the order path."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from prometheus_client import Counter, Gauge, Histogram

from engine.records import Reason

if TYPE_CHECKING:
    from stack.matcher.partition import Partition

PUBLISH_S = 0.25


class Door(Protocol):
    taken: int
    deferred: int


_SECONDS = [0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 1.0]
_DECISION_SECONDS = [0.000001, 0.000002, 0.000005, 0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.01]
_COMMANDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000]
_BY = ["partition"]

_COUNTERS = {
    name: Counter(f"hft_{name}", text, _BY)
    for name, text in {
        "commands": "commands made durable",
        "events": "events made durable",
        "fills": "fill reports, two per match",
        "groups": "group commits",
        "repeats": "commands answered as repeats or conflicts",
        "torn_tails": "unfinished writes that a start cut off the journal's end",
        "busy": "commands turned away because the disk or a rate limit was behind",
    }.items()
}
_REFUSALS = Counter("hft_refusals", "refused commands", [*_BY, "reason"])
_SYNC = Histogram("hft_sync_seconds", "one sync of the journal", _BY, buckets=_SECONDS)
_GROUP = Histogram("hft_group_commands", "commands per group commit", _BY, buckets=_COMMANDS)
_DECISION = Histogram(
    "hft_decision_latency_seconds", "the slowest decision of a group, sync excluded", _BY, buckets=_DECISION_SECONDS
)
_DOOR = {
    name: Counter(f"hft_door_{name}", text, _BY)
    for name, text in {
        "taken": "requests that the engine's own door answered",
        "deferred": "requests that the engine's own door handed to the gateway",
    }.items()
}
_SESSIONS = {
    name: Counter(f"hft_sessions_{name}", text, _BY)
    for name, text in {
        "opened": "sessions that the binary door let in",
        "cut": "sessions cut because the client did not read, or finish a frame",
        "batches": "SUBMIT frames taken from sessions",
        "commands": "commands in them",
    }.items()
}
_SESSIONS_REFUSED = Counter("hft_sessions_refused", "sessions ended by an ERROR frame", [*_BY, "code"])
_GAUGES = {
    name: Gauge(f"hft_{name}", text, _BY, multiprocess_mode="mostrecent")
    for name, text in {
        "sessions_open": "connections at the binary door",
        "live_orders": "orders resting in all books",
        "halted": "1 while the partition is halted",
        "durable_sequence": "the last command that is durable",
        "durable_events": "events that are durable",
        "unacknowledged_commands": "commands that wait for the disk",
        "client_ids": "client order ids in the younger generation",
        "disk_full": "1 while orders are refused because the disk has no room",
        "epoch": "of the journal's newest segment",
        "recovery_seconds": "how long this process took to come to where its journal stood",
        "recovery_replayed_commands": "commands that this process replayed at its start",
        "recovery_snapshot_sequence": "the snapshot that this process began from, 0: none",
        "snapshot_sequence": "the last command in the newest snapshot, 0: none",
        "snapshot_bytes": "size of the snapshot that was taken last",
        "snapshot_seconds": "how long the snapshot that was taken last took, beside the engine",
        "snapshot_failures": "snapshots that this process could not have taken",
        "decision_latency_exceeded": "1 while the p99 of decisions over ten seconds is above max_latency_us",
    }.items()
}


class Metrics:
    def __init__(self, partition: Partition, latency_sample_rate: float, door: Door | None) -> None:
        """`door` is None where orders come over the link only."""
        label = str(partition.number)
        self._partition = partition
        self._rate = latency_sample_rate
        self._counters: list[tuple[object, str, Counter]] = [
            (partition.tally, name, metric.labels(label)) for name, metric in _COUNTERS.items()
        ]
        self._counters += [(partition.tally.sessions, name, metric.labels(label)) for name, metric in _SESSIONS.items()]
        if door is not None:
            self._counters += [(door, name, metric.labels(label)) for name, metric in _DOOR.items()]
        self._published = [0] * len(self._counters)
        self._refusals: dict[int, int] = {}
        self._refused_sessions: dict[str, int] = {}
        self._gauges = {name: gauge.labels(label) for name, gauge in _GAUGES.items()}
        self._sync, self._group, self._decision = _SYNC.labels(label), _GROUP.labels(label), _DECISION.labels(label)

        self._stages = None
        if partition.intake is not None:
            from stack.matcher.stage_metrics import StageMetrics

            self._stages = StageMetrics(partition.number, partition.intake.stages)

    def publish(self) -> None:
        partition, tally = self._partition, self._partition.tally
        if self._stages is not None:
            self._stages.publish()
        for place, (source, name, counter) in enumerate(self._counters):
            now = getattr(source, name)
            counter.inc(now - self._published[place])
            self._published[place] = now
        for reason, count in tally.refusals.items():
            published = self._refusals.get(reason, 0)
            if count > published:
                _REFUSALS.labels(str(partition.number), Reason(reason).name.lower()).inc(count - published)
                self._refusals[reason] = count
        for code, count in tally.sessions.refused.items():
            published = self._refused_sessions.get(code, 0)
            if count > published:
                _SESSIONS_REFUSED.labels(str(partition.number), code).inc(count - published)
                self._refused_sessions[code] = count
        samples = tally.take_samples()
        _observe(self._sync, [sample.sync_s for sample in samples])
        _observe(self._group, [sample.commands for sample in samples])
        decisions = [
            sample.decision_ns / 1e9
            for sample in samples
            if sample.decision_ns and (self._rate >= 1 or random.random() < self._rate)
        ]
        _observe(self._decision, decisions)
        for name, value in (
            ("sessions_open", tally.sessions.open),
            ("live_orders", partition.engine.live),
            ("halted", partition.halted),
            ("durable_sequence", partition.durable_sequence),
            ("durable_events", partition.durable_events),
            ("unacknowledged_commands", partition.unacknowledged),
            ("client_ids", partition.engine.client_ids),
            ("epoch", partition.epoch),
            ("disk_full", bool(partition.room.refused)),
            ("recovery_seconds", partition.recovery.took_s),
            ("recovery_replayed_commands", partition.recovery.replayed),
            ("recovery_snapshot_sequence", partition.recovery.from_snapshot),
            ("snapshot_sequence", partition.snapshots.newest),
            ("snapshot_bytes", partition.snapshots.bytes),
            ("snapshot_seconds", partition.snapshots.took_s),
            ("snapshot_failures", partition.snapshots.failed),
            ("decision_latency_exceeded", partition.latency.exceeded),
        ):
            self._gauges[name].set(value)


def _observe(histogram: Histogram, values: Sequence[float]) -> None:
    """What `observe` does for one value, for all of them: each change of a value costs several microseconds."""
    if not values:
        return
    histogram._sum.inc(sum(values))
    for place, count in Counts(bisect_left(histogram._upper_bounds, value) for value in values).items():
        histogram._buckets[place].inc(count)
