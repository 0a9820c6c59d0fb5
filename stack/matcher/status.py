"""The answer to the query `status` and to the admin command of that name.

Counters count since this process started; sequences and ordinals since the partition began. `sequence` may run ahead of
`durable_sequence` by what waits for the disk.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engine.records import Reason
from stack.matcher.partition import Partition


def status(partition: Partition, started_ns: int) -> dict[str, Any]:
    engine, tally, latency = partition.engine, partition.tally, partition.latency
    return {
        "partition": partition.number,
        "implementation": engine.implementation,
        "started_ns": started_ns,
        "epoch": partition.epoch,
        "rules": engine.rules,  # in force; `rules_version` of a WELCOME is what this engine knows
        "sequence": engine.sequence,
        "durable_sequence": partition.durable_sequence,
        "durable_events": partition.durable_events,
        "trades": engine.trades,
        "live_orders": engine.live,
        "client_ids": engine.client_ids,
        "halted": partition.halted,
        "stopped": partition.stopped,
        "no_room": partition.room.why,
        "unacknowledged": partition.unacknowledged,
        "commands": tally.commands,
        "events": tally.events,
        "fills": tally.fills,
        "groups": tally.groups,
        "repeats": tally.repeats,
        "busy": tally.busy,
        "torn_tails": tally.torn_tails,
        "refusals": {Reason(reason).name.lower(): count for reason, count in sorted(tally.refusals.items())},
        "sessions": tally.sessions.as_json(),
        "sync_s": tally.sync_s,
        "recovery": partition.recovery._asdict(),
        "snapshots": asdict(partition.snapshots),
        "decision_latency": {
            "exceeded": latency.exceeded,
            "p99_us": latency.p99_us,  # of the last ten seconds; null with fewer than a thousand samples
            "max_us": latency.max_us,
            "samples": latency.samples,
        },
        "stages": _stages(partition),  # of orders that came by a compiled door, see matcher/stages.py
    }


def _stages(partition: Partition) -> dict[str, Any]:
    if partition.intake is None:
        return {}
    from stack.matcher.stages import summary

    return summary(partition.intake.stages)
