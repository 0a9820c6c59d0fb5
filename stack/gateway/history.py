"""Orders and trades of the past, from PostgreSQL. Nothing on the order path comes here.

PostgreSQL is a projection that lags: what is not found here may still be in an engine, which is asked first. All views
carry decimals already; text comes out exactly as `stack.wire.order` writes it.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from stack.gateway.breaker import Breaker, Unavailable
from stack.gateway.errors import ApiError
from stack.settings import Postgres

POOL_MAX = 4
TIMEOUT_S = 2.0
STATEMENT_MS_MAX = 1000  # PostgreSQL itself gives the question up: else it would read on for nobody
TURN_S_MAX = 1.0
PAUSE_S = 1.0

Order = dict[str, Any]

_ORDER = """SELECT partition, order_sequence, order_id, client_order_id, account, symbol, side, type, time_in_force, post_only,
    self_trade, expires_ns, price, quantity, filled_quantity, leaves_quantity, average_price, status, reason, sequence,
    created_ns, updated_ns FROM orders WHERE partition = $1 AND order_sequence = ANY($2::bigint[])"""
_FILLS = """SELECT order_sequence, trade_id, price, quantity, liquidity FROM fills
    WHERE partition = $1 AND order_sequence = ANY($2::bigint[]) AND sequence >= $3 ORDER BY sequence, event_index"""
_BY_ACCOUNT = "SELECT sequence FROM orders_of($1, $2, $3, $4, $5) AS sequence"
_WRITTEN = "SELECT ordinal FROM checkpoint WHERE partition = $1"
_BY_CLIENT_ID = "SELECT sequence FROM orders_called($1, $2, $3) AS sequence ORDER BY sequence LIMIT 1000"
_TRADES = """SELECT trade_id, price, quantity, side, time_ns, sequence FROM trades
    WHERE partition = $1 AND symbol = $2 ORDER BY sequence DESC, event_index DESC LIMIT $3"""


class TooMuch(Exception):
    """PostgreSQL works, but not on this question: it says nothing about anybody else's, and is no failure for the breaker."""


class History:
    def __init__(self, settings: Postgres) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool | None = None
        failures = (asyncpg.PostgresError, asyncpg.InterfaceError)
        self._breaker = Breaker("PostgreSQL", failures, timeout_s=TIMEOUT_S, pause_s=PAUSE_S)
        # Taken outside the breaker: who waits for others' long questions has not found PostgreSQL down.
        self._turns = asyncio.Semaphore(POOL_MAX)

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()

    async def order(self, partition: int, sequence: int) -> Order | None:
        return (await self.orders(partition, [sequence])).get(sequence)

    async def by_client_id(self, partition: int, account: str, client_order_id: str) -> list[Order]:
        rows = await self._fetch(_BY_CLIENT_ID, partition, account, client_order_id)
        return list((await self.orders(partition, [row["sequence"] for row in rows])).values())

    async def by_account(self, partition: int, account: str, after: int, since_ns: int, limit: int) -> list[int]:
        """Sequences of the account's orders that were accepted after `after`, ascending."""
        rows = await self._fetch(_BY_ACCOUNT, partition, account, after, since_ns, limit)
        return [row["sequence"] for row in rows]

    async def written(self, partition: int) -> int:
        """How many of the partition's events are here: the ordinal of the first that is not."""
        rows = await self._fetch(_WRITTEN, partition)
        return rows[0]["ordinal"] if rows else 0

    async def trades(self, partition: int, symbol: str, limit: int) -> list[dict[str, Any]]:
        """Newest first."""
        rows = await self._fetch(_TRADES, partition, symbol, limit)
        return [{**row, "price": _text(row["price"]), "quantity": _text(row["quantity"])} for row in map(dict, rows)]

    async def checkpoints(self) -> dict[int, int]:
        """The sequence up to which each partition's events are in PostgreSQL; raises Unavailable."""
        try:
            rows = await self._breaker.call(lambda: self._query("SELECT partition, sequence FROM checkpoint", ()))
        except TooMuch as error:
            raise Unavailable(f"PostgreSQL does not say how far it is: {error}") from error
        return {row["partition"]: row["sequence"] for row in rows}

    async def orders(self, partition: int, sequences: list[int]) -> dict[int, Order]:
        """By ascending sequence, without those that are not here. One of today costs reading the day from it on."""
        if not sequences:
            return {}
        rows = await self._fetch(_ORDER, partition, sequences)
        if not rows:
            return {}
        orders = {row["order_sequence"]: _order(row) for row in rows}
        for fill in await self._fetch(_FILLS, partition, list(orders), min(orders)):
            orders[fill["order_sequence"]]["fills"].append(
                {
                    "trade_id": fill["trade_id"],
                    "price": _text(fill["price"]),
                    "quantity": _text(fill["quantity"]),
                    "liquidity": fill["liquidity"],
                }
            )
        return dict(sorted(orders.items()))

    async def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        try:
            async with asyncio.timeout(TURN_S_MAX):
                await self._turns.acquire()
        except TimeoutError:
            raise _too_much(f"its {POOL_MAX} connections are busy with earlier questions") from None
        try:
            return await self._breaker.call(lambda: self._query(statement, values))
        except Unavailable as error:
            message = f"history is not available: {error}. Orders are taken and live orders can be read (live=true)"
            raise ApiError("history_unavailable", message) from error
        except TooMuch as error:
            raise _too_much(str(error)) from error
        finally:
            self._turns.release()

    async def _query(self, statement: str, values: tuple[object, ...]) -> list[asyncpg.Record]:
        if self._pool is None:
            settings = self._settings
            self._pool = asyncpg.create_pool(
                host=settings.host,
                port=settings.port,
                database=settings.database,
                user=settings.user,
                password=lambda: Path(settings.password_file).read_text().strip(),
                min_size=0,
                max_size=POOL_MAX + 1,  # one for health
                timeout=TIMEOUT_S,
                command_timeout=TIMEOUT_S,
                server_settings={"application_name": "hft gateway", "statement_timeout": str(STATEMENT_MS_MAX)},
            )
            await self._pool
        connection = await self._pool.acquire()
        try:
            return await connection.fetch(statement, *values)  # type: ignore[no-any-return]
        except asyncpg.QueryCanceledError as error:
            raise TooMuch(
                f"no answer found within {STATEMENT_MS_MAX} ms"
            ) from error  # not one of the breaker's failures
        except (TimeoutError, asyncio.CancelledError):
            connection.terminate()  # else it is given back only when a server that hangs has agreed to the cancel
            raise
        finally:
            await self._pool.release(connection)


def _too_much(why: str) -> ApiError:
    return ApiError(
        "history_unavailable",
        f"PostgreSQL works, but this was too much for it: {why}. Ask for fewer (limit, since), for live orders alone (live=true), "
        "or again later",
    )


def _order(row: asyncpg.Record) -> Order:
    order = dict(row)
    del order["partition"], order["order_sequence"]
    for name in ("price", "quantity", "filled_quantity", "leaves_quantity", "average_price"):
        order[name] = None if order[name] is None else _text(order[name])
    order["fills"] = []
    return order


def _text(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
