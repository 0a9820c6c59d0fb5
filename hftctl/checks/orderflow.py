"""Proof by a real order: two crossing orders in at the public door, the fill read back, its rows in PostgreSQL.

Each partition has the reserved instrument PROOF.<partition> and the reserved account `proof`, outside feeds, P&L and risk.
Order ids derive from the rollout's, so an attempt that was cut off and is made again places no second pair. Nothing is
left open: what an earlier proof left is cancelled first, what this one leaves at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hftctl.checks.door import Door, refusal
from hftctl.errors import Failed, HftctlError, Inconclusive, NotFound

ACCOUNT = "proof"
PRICE = "100"
QUANTITY = "1"
POLL_S = 0.02

Fill = Mapping[str, Any]  # order_id, trade_id, price, quantity, liquidity
FetchFills = Callable[[int, Sequence[int]], Sequence[Fill]]  # (partition, order sequences) -> rows; raises NotFound


@dataclass(frozen=True)
class Limits:
    door_s: float = 5.0  # for a refusal that passes, as while an engine restarts
    rows_s: float = 10.0  # from the fill to its rows


def symbol(partition: int) -> str:
    return f"PROOF.{partition}"


def prove(
    door: Door,
    *,
    rollout: str,
    partitions: int,
    fetch_fills: FetchFills,
    database_was_down: bool = False,
    limits: Limits = Limits(),
) -> list[dict[str, Any]]:
    """Per partition the filled order and how long it took. Raises Failed, or Inconclusive when nothing can be proved."""
    with _nothing_left_open(door):
        return [
            _prove_partition(door, rollout, partition, fetch_fills, database_was_down, limits)
            for partition in range(partitions)
        ]


@contextmanager
def _nothing_left_open(door: Door) -> Iterator[None]:
    _cancel_all(door)
    try:
        yield
    except HftctlError:
        try:
            _cancel_all(door)
        except HftctlError as second:
            raise Failed(f"the proof failed and its orders may still be open: {second.message}") from second
        raise
    _cancel_all(door)


def _cancel_all(door: Door) -> None:
    status, read = door.ask("DELETE", "/orders", params={"account": ACCOUNT})
    if status != 200:
        raise refusal(f"cannot cancel the open orders of account {ACCOUNT}", status, read)


def _prove_partition(
    door: Door, rollout: str, partition: int, fetch_fills: FetchFills, database_was_down: bool, limits: Limits
) -> dict[str, Any]:
    started = time.monotonic()
    maker = _place(door, f"{rollout}.{partition}.s", partition, "sell", limits)
    taker = _place(door, f"{rollout}.{partition}.b", partition, "buy", limits)
    acknowledged = time.monotonic()
    taker = _read_back(door, taker["order_id"])
    if taker["status"] != "filled" or Decimal(taker["filled_quantity"]) != Decimal(QUANTITY):
        raise Failed(
            f"two crossing orders on {symbol(partition)} did not match: {taker['order_id']} is {taker['status']}"
        )
    rows = _wait_for_rows(partition, maker, taker, fetch_fills, database_was_down, limits)
    return {
        "partition": partition,
        "symbol": symbol(partition),
        "order": taker,
        "rows": len(rows),
        "acknowledged_ms": round((acknowledged - started) * 1e3 / 2, 3),
        "persisted_ms": round((time.monotonic() - acknowledged) * 1e3, 3),
    }


def _place(door: Door, client_order_id: str, partition: int, side: str, limits: Limits) -> dict[str, Any]:
    order = {
        "client_order_id": client_order_id,
        "account": ACCOUNT,
        "symbol": symbol(partition),
        "side": side,
        "type": "limit",
        "price": PRICE,
        "quantity": QUANTITY,
        "time_in_force": "GTC",
    }
    status, read = door.ask_until(time.monotonic() + limits.door_s, "POST", "/orders", body=order)
    if read.get("code") in ("halted", "instrument_halted"):
        raise Inconclusive(f"partition {partition} takes no orders: {read.get('message', 'it is halted')}")
    if status not in (200, 201):
        raise refusal(f"cannot {side} {QUANTITY} {symbol(partition)} at {PRICE}", status, read)
    return read


def _read_back(door: Door, order_id: str) -> dict[str, Any]:
    status, read = door.ask("GET", f"/orders/{order_id}")
    if status != 200:
        raise refusal(f"cannot read order {order_id} back", status, read)
    return read


def _wait_for_rows(
    partition: int,
    maker: Mapping[str, Any],
    taker: Mapping[str, Any],
    fetch_fills: FetchFills,
    database_was_down: bool,
    limits: Limits,
) -> Sequence[Fill]:
    """Both sides of the fill as PostgreSQL has them, equal to what the engine answered."""
    wanted = {
        (order["order_id"], fill["trade_id"], Decimal(fill["price"]), Decimal(fill["quantity"]), liquidity)
        for fill in taker["fills"]
        for order, liquidity in ((maker, "maker"), (taker, "taker"))
    }
    sequences = [int(order["order_id"].partition("-")[2]) for order in (maker, taker)]
    deadline = time.monotonic() + limits.rows_s
    while True:
        unreachable = ""
        rows: tuple[Fill, ...] = ()
        try:
            rows = tuple(fetch_fills(partition, sequences))
        except NotFound as error:
            unreachable = error.message
        found = {
            (row["order_id"], row["trade_id"], Decimal(row["price"]), Decimal(row["quantity"]), row["liquidity"])
            for row in rows
        }
        if found == wanted:
            return rows
        if found - wanted:
            raise Failed(f"PostgreSQL has other fills than the engine: {sorted(found)}, expected {sorted(wanted)}")
        if time.monotonic() >= deadline or (unreachable and database_was_down):
            break
        time.sleep(POLL_S)
    order = taker["order_id"]
    if unreachable and database_was_down:
        raise Inconclusive(f"order {order} was filled, but PostgreSQL was down before and is: {unreachable}")
    reason = unreachable or f"{len(rows)} of {len(wanted)} are there"
    raise Failed(f"order {order} was filled, but its rows are not in PostgreSQL after {limits.rows_s:g} s: {reason}")
