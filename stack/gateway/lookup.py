"""One order by its ids: the engine first, whose event log knows everything newer than PostgreSQL, then PostgreSQL.

An engine that is away is no reason for 404. What PostgreSQL has of the order is shown then, if it has it.
"""

from __future__ import annotations

import asyncio

from stack.gateway.chains import read_chain, read_chains
from stack.gateway.errors import ApiError
from stack.gateway.gateway import Gateway
from stack.gateway.partition import Partition
from stack.gateway.replies import Order, unknown_order
from stack.wire.order import fold, order_id


async def find_order(gateway: Gateway, partition: Partition, sequence: int) -> Order:
    """Raises ApiError."""
    away: ApiError | None = None
    try:
        if chain := await read_chain(partition, sequence):
            return fold(chain, partition.number, partition.link.tables)
    except ApiError as error:
        if error.code not in ("engine_unavailable", "too_many_held"):
            raise
        away = error
    past = await gateway.history.order(partition.number, sequence)
    if past is not None:
        return past
    raise away or unknown_order(order_id(partition.number, sequence))


async def by_client_id(gateway: Gateway, account: str, client_order_id: str) -> list[Order]:
    """All orders of an account with this client_order_id: one per symbol and generation of ids."""
    found = await asyncio.gather(
        *(_by_client_id(gateway, partition, account, client_order_id) for partition in gateway.partitions.values())
    )
    return [order for orders in found for order in orders]


async def _by_client_id(gateway: Gateway, partition: Partition, account: str, client_order_id: str) -> list[Order]:
    tables = await partition.tables()
    number = tables.account_ids.get(account)
    if number is None:
        return []
    answer = await partition.query("client_id", account=number, client_order_id=client_order_id, only_ids=True)
    chains = await read_chains(partition, answer.document["orders"])
    folded = (fold(chain, partition.number, partition.link.tables) for chain in chains.values())
    orders = {order["order_id"]: order for order in folded}
    try:
        for order in await gateway.history.by_client_id(partition.number, account, client_order_id):
            orders.setdefault(order["order_id"], order)
    except ApiError:
        if not orders:
            raise
    return list(orders.values())
