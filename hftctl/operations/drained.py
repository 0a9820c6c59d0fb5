"""How far one partition is from having nothing under way: refused, durable, in PostgreSQL, in a verified snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hftctl.checks.written import written
from hftctl.errors import HftctlError
from hftctl.plan.actuator import Answer
from hftctl.targets.base import Target

ENGINE_TIMEOUT_S = 5.0
TAKES_ORDERS = "it takes orders"


@dataclass(frozen=True)
class PartitionDrain:
    """`sequence` is the point: the command up to which everything is, or is to be, in rows and in the snapshot."""

    partition: int
    sequence: int = 0
    since: int = 0  # commands behind it: cancels, and orders that were refused
    live_orders: int = 0
    halted: bool = False
    written: int = 0  # PostgreSQL has everything up to this command
    rows: int = 0
    snapshot: int | None = 0  # of which command the newest verified one is; None: this engine has no snapshots
    snapshot_bytes: int = 0
    left: tuple[str, ...] = ()  # what is not so yet, in clauses; empty when drained
    failed: str = ""  # what will not come by waiting

    @property
    def message(self) -> str:
        return "; ".join(self.left) or "drained"


def look(target: Target, partition: int, point: int | None = None) -> PartitionDrain:
    """Reads only; without a point it is where the engine stands."""
    try:
        engine = target.ask_engine(partition, {"command": "status"}, timeout_s=ENGINE_TIMEOUT_S)
        if not engine.get("ok"):
            return PartitionDrain(partition, left=(f"the engine says {engine.get('code')}: {engine.get('message')}",))
    except HftctlError as error:
        return PartitionDrain(partition, point or 0, left=(error.message,))
    sequence = int(engine["sequence"])
    point = sequence if point is None else point
    snapshots = engine.get("snapshots", {})
    has_snapshots = engine.get("implementation") == "cython"
    verified = int(snapshots.get("verified", 0))
    left: list[str] = []
    if not engine.get("halted"):
        left.append(TAKES_ORDERS)
    if int(engine["durable_sequence"]) < point:
        left.append(f"command {point} is not durable yet")
    rows = 0
    reached = 0
    try:
        found = written(target.postgres(partition), partition, at_least=point)
        rows, reached = found.rows, found.sequence
        if reached < point:
            left.append(f"PostgreSQL has commands up to {reached} of {point}")
        elif not found.flushed:
            left.append("PostgreSQL has not flushed its log (fsync is off, or its disk does not answer)")
    except HftctlError as error:
        left.append(error.message)
    failed = ""
    if has_snapshots and verified < point:
        failed = str(snapshots.get("error", ""))
        left.append(f"no snapshot: {failed}" if failed else f"the snapshot of command {point} is not there yet")
    return PartitionDrain(
        partition,
        point,
        sequence - point,
        int(engine["live_orders"]),
        bool(engine.get("halted")),
        reached,
        rows,
        verified if has_snapshots else None,
        int(snapshots.get("bytes", 0)),
        tuple(left),
        failed,
    )


def hopeless(target: Target, partition: PartitionDrain) -> str:
    """Why waiting for a partition is of no use; empty where it may be."""
    if partition.failed:
        return f"no snapshot could be taken: {partition.failed}"
    if TAKES_ORDERS in partition.left:
        return "somebody resumed it meanwhile"
    wanted = {f"engine-{partition.partition}", f"persister-{partition.partition}"}
    for component in target.status():
        if component.component in wanted or component.component.startswith("postgres-"):
            answer = target.readiness(component.component)
            if answer.answer is Answer.FAILED:
                return answer.message
    return ""


def as_json(partition: PartitionDrain) -> Mapping[str, Any]:
    names = ("partition", "sequence", "since", "live_orders", "halted", "written", "rows", "snapshot", "snapshot_bytes")
    return {name: getattr(partition, name) for name in names} | {
        "drained": not partition.left,
        "message": partition.message,
    }
