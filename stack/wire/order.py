"""A chain of events folded into the Order that every door shows. The one place where this is done.

order_id       "<partition>-<sequence of its NEW command>"
sequence       of the last command that changed it, so that of two Orders the higher sequence is the newer
self_trade     which order goes where it would meet one of its own account: cancel_newest (itself), cancel_oldest,
               cancel_both; null: they trade
price          null for a market order; after a replace the new one
average_price  of all fills; rounded half up to eight digits more than the tick has; null without fills
expires_ns     when it ends by the clock: of DAY the end of its UTC day, of GTT what it said; null for others
status         open, partially_filled (and still open), filled, cancelled or expired (whatever was filled before), rejected
reason         why it was cancelled or rejected, the name in `engine.records.Reason` in lower case; else null
trade_id       "<partition>-<number of the match>", the same for maker and taker
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from engine.records import (
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    MAKER,
    POST_ONLY,
    SELF_TRADE_FLAGS,
    Event,
    EventKind,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)
from stack.wire.decimals import decimal_text
from stack.wire.tables import Tables

SIDES = {"buy": Side.BUY, "sell": Side.SELL}
TYPES = {"limit": OrderType.LIMIT, "market": OrderType.MARKET}
TIMES_IN_FORCE = {one.name: one for one in TimeInForce}
SELF_TRADE = {"cancel_newest": CANCEL_NEWEST, "cancel_oldest": CANCEL_OLDEST, "cancel_both": SELF_TRADE_FLAGS}
_SIDE_NAMES = {int(value): name for name, value in SIDES.items()}
_TYPE_NAMES = {int(value): name for name, value in TYPES.items()}
_TIF_NAMES = {int(value): name for name, value in TIMES_IN_FORCE.items()}
_SELF_TRADE_NAMES = {value: name for name, value in SELF_TRADE.items()}
AVERAGE_DIGITS = 8
_ORDER_ID = re.compile(r"(0|[1-9][0-9]{0,3})-([1-9][0-9]{0,18})", re.ASCII)


def order_id(partition: int, sequence: int) -> str:
    return f"{partition}-{sequence}"


def parse_order_id(text: str) -> tuple[int, int] | None:
    """(partition, sequence), or None when it is no order_id."""
    found = _ORDER_ID.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else None


def fold(events: Sequence[Event], partition: int, tables: Tables) -> dict[str, Any]:
    """The Order after `events`: its chain, oldest first, beginning with ACCEPTED; or its REFUSED event alone."""
    first, last = events[0], events[-1]
    refused = first.kind == EventKind.REFUSED
    if not refused and first.kind != EventKind.ACCEPTED:
        raise ValueError(f"the chain of order {first.order} begins with event kind {first.kind}, not with ACCEPTED")
    listed = tables.instruments.get(first.symbol)
    price, quantity, leaves, reason = first.price, first.quantity, first.leaves, 0
    filled = paid = 0
    cancelled = False
    fills = []
    for event in events:
        leaves = event.leaves
        if event.kind == EventKind.FILL:
            filled += event.quantity
            paid += event.quantity * event.price
            fills.append(
                {
                    "trade_id": f"{partition}-{event.trade}",
                    "price": _price(listed, event.price),
                    "quantity": _quantity(listed, event.quantity),
                    "liquidity": "maker" if event.flags & MAKER else "taker",
                }
            )
        elif event.kind == EventKind.REPLACED:
            price, quantity = event.price, event.quantity
        elif event.kind in (EventKind.CANCELLED, EventKind.REFUSED):
            cancelled, reason = True, event.reason
    if refused:
        status = "rejected"
    elif cancelled:
        status = "expired" if reason == Reason.EXPIRED else "cancelled"
    elif leaves == 0:
        status = "filled"
    else:
        status = "partially_filled" if filled else "open"
    return {
        "order_id": order_id(partition, first.order or first.sequence),
        "client_order_id": first.text.decode("ascii", "replace"),
        "account": tables.accounts.get(first.account, ""),
        "symbol": listed.symbol if listed else "",
        "side": _SIDE_NAMES.get(first.side, ""),
        "type": _TYPE_NAMES.get(first.type, ""),
        "time_in_force": _TIF_NAMES.get(first.tif, ""),
        "post_only": bool(first.flags & POST_ONLY),
        "self_trade": _SELF_TRADE_NAMES.get(first.flags & SELF_TRADE_FLAGS),
        "expires_ns": first.trade if first.trade and not refused else None,
        "price": None if first.type == OrderType.MARKET else _price(listed, price),
        "quantity": _quantity(listed, quantity),
        "filled_quantity": _quantity(listed, filled),
        "leaves_quantity": _quantity(listed, leaves),
        "average_price": _average(listed, paid, filled),
        "status": status,
        "reason": Reason(reason).name.lower() if reason else None,
        "sequence": last.sequence,
        "created_ns": first.time_ns,
        "updated_ns": last.time_ns,
        "fills": fills,
    }


def _price(listed: Any, ticks: int) -> str:
    return listed.tick.text(ticks) if listed and ticks >= 0 else str(ticks)


def _quantity(listed: Any, lots: int) -> str:
    return listed.lot.text(lots) if listed and lots >= 0 else str(lots)


def _average(listed: Any, paid: int, filled: int) -> str | None:
    if not filled:
        return None
    mantissa, scale = listed.tick if listed else (1, 0)
    numerator = paid * mantissa * 10**AVERAGE_DIGITS
    return decimal_text((2 * numerator + filled) // (2 * filled), scale + AVERAGE_DIGITS)
