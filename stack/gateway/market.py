"""Instruments, books and trades."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from stack.gateway.chains import read_chains
from stack.gateway.errors import ApiError, shown
from stack.gateway.gateway import Gateway
from stack.gateway.model import symbol_of
from stack.gateway.partition import Partition
from stack.gateway.partitions import PROOF
from stack.gateway.routes import WITH_KEY, Operator, TheGateway, errors
from stack.gateway.schemas import Book, DebugBook, Instruments, Trades
from stack.gateway.web import Json
from stack.wire.order import fold
from stack.wire.tables import Listed

router = APIRouter(dependencies=WITH_KEY, tags=["market data"])

Depth = Annotated[int, Query(ge=1, le=1000, description="price levels of each side")]


async def listed_at(gateway: Gateway, symbol: str) -> tuple[Partition, Listed]:
    number = gateway.map.owner(symbol)
    if number is None:
        raise ApiError(
            "no_such_symbol", f"{shown(symbol)} is no instrument here; GET /instruments lists them", "symbol"
        )
    partition = gateway.partitions[number]
    return partition, symbol_of(await partition.tables(), symbol)


@router.get("/instruments", responses={200: {"model": Instruments}, **errors(401, 503)})
async def instruments(gateway: TheGateway) -> Json:
    """What can be traded, by symbol. The instruments a deployment proves itself with are left out."""
    partitions = list(gateway.partitions.values())
    tables = await asyncio.gather(*(partition.tables() for partition in partitions))
    listed = [
        {
            "symbol": item.symbol,
            "tick_size": str(item.tick),
            "lot_size": str(item.lot),
            "currency": item.currency,
            "state": item.state,
            "partition": partition.number,
        }
        for partition, table in zip(partitions, tables, strict=True)
        for item in table.instruments.values()
        if not item.symbol.startswith(PROOF) and gateway.map.owner(item.symbol) == partition.number
    ]
    return Json({"instruments": sorted(listed, key=lambda item: str(item["symbol"]))})


@router.get("/book/{symbol}", responses={200: {"model": Book}, **errors(401, 404, 503)})
async def book(symbol: str, gateway: TheGateway, depth: Depth = 10) -> Json:
    """The best levels of both sides, best first, as of a sequence of the symbol's partition."""
    partition, listed = await listed_at(gateway, symbol)
    return Json(await _book(partition, listed, depth))


@router.get("/debug/orderbook/{symbol}", responses={200: {"model": DebugBook}, **errors(401, 403, 404, 503)})
async def debug_book(
    symbol: str,
    gateway: TheGateway,
    _operator: Operator,
    depth: Depth = 1000,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    cursor: Annotated[int, Query(ge=0, le=(1 << 62))] = 0,
) -> Json:
    """The book with the orders behind it, by ascending order_id; for operators."""
    partition, listed = await listed_at(gateway, symbol)
    levels = await _book(partition, listed, depth)
    answer = await partition.query("orders", symbol=listed.id, after=cursor, limit=limit, only_ids=True)
    resting: list[int] = answer.document["orders"]
    chains = await read_chains(partition, resting)
    orders = [fold(chain, partition.number, partition.link.tables) for chain in chains.values() if chain[-1].leaves]
    last = str(resting[-1]) if len(resting) == limit else None
    return Json({**levels, "orders": orders, "cursor": last})


@router.get("/trades/{symbol}", responses={200: {"model": Trades}, **errors(401, 404, 503)})
async def trades(symbol: str, gateway: TheGateway, limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> Json:
    """The newest trades, newest first."""
    partition, _ = await listed_at(gateway, symbol)
    # The cache is short and may have been emptied: only when it fills the answer is nobody else asked.
    found = await gateway.cache.trades(symbol, limit)
    if len(found) < limit:
        try:
            found = await gateway.history.trades(partition.number, symbol, limit)
        except ApiError:
            if not found:
                raise
    return Json({"symbol": symbol, "trades": found})


async def _book(partition: Partition, listed: Listed, depth: int) -> dict[str, Any]:
    answer = (await partition.query("book", symbol=listed.id, depth=depth)).document
    sides = {
        side: [
            {"price": listed.tick.text(price), "quantity": listed.lot.text(quantity), "orders": orders}
            for price, quantity, orders in answer[side]
        ]
        for side in ("bids", "asks")
    }
    return {"symbol": listed.symbol, "sequence": answer["sequence"], **sides}
