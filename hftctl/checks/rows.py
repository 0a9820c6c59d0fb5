"""Rows of the projection, read from PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hftctl.errors import NotFound

# `sequence >=` lets the table of the day be read along its key: a fill never comes before its order
FILLS = """
SELECT order_id, trade_id, price, quantity, liquidity
  FROM fills
 WHERE partition = %(partition)s AND order_sequence = ANY(%(orders)s) AND sequence >= %(first)s
 ORDER BY sequence, event_index
"""


def fetch_fills(connection: Mapping[str, Any], partition: int, orders: Sequence[int]) -> list[dict[str, Any]]:
    """Raises NotFound when PostgreSQL does not answer."""
    import psycopg  # only a proof needs it
    from psycopg.rows import dict_row

    arguments: dict[str, Any] = {"connect_timeout": 3, **connection}
    try:
        with psycopg.connect(**arguments, row_factory=dict_row) as database:
            parameters = {"partition": partition, "orders": list(orders), "first": min(orders)}
            return database.execute(FILLS, parameters).fetchall()
    except psycopg.OperationalError as error:
        first_line = str(error).partition("\n")[0]
        raise NotFound(f"cannot read rows of partition {partition} from PostgreSQL: {first_line}") from error
