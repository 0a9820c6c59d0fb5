"""The proof of a rollout: the stack says it is ready, and an order shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hftctl.checks import health, orderflow, rows
from hftctl.checks.door import Door
from hftctl.targets.base import Target

READY_TIMEOUT_S = 30.0


def prove_by_order(
    target: Target, rollout: str, partitions: int, database_was_down: bool
) -> Sequence[Mapping[str, Any]]:
    """Raises Failed, or Inconclusive (halted; PostgreSQL down before we came)."""

    def fetch(partition: int, orders: Sequence[int]) -> Sequence[Mapping[str, Any]]:
        return rows.fetch_fills(target.postgres(partition), partition, orders)

    with Door(target.endpoint(), api_key=target.operator_key()) as door:
        health.wait_ready(door, timeout_s=READY_TIMEOUT_S)  # it is, without PostgreSQL and halted too
        return orderflow.prove(
            door,
            rollout=rollout,
            partitions=partitions,
            fetch_fills=fetch,
            database_was_down=database_was_down,
        )
