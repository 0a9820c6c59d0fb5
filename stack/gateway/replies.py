"""From what an engine replied to what HTTP answers."""

from __future__ import annotations

from typing import Any

from engine.records import Event, EventKind, Reason
from stack.gateway.errors import ApiError
from stack.keys import Caller
from stack.wire.frames import Outcome
from stack.wire.link import Reply
from stack.wire.order import fold
from stack.wire.tables import Tables

Order = dict[str, Any]

# reason: (code, field, message)
REFUSALS: dict[int, tuple[str, str | None, str]] = {
    Reason.HALTED: ("halted", None, "trading is halted by an operator; cancels pass"),
    Reason.UNKNOWN_ACCOUNT: ("unknown_account", "account", "the account is not defined"),
    Reason.UNKNOWN_SYMBOL: ("unknown_symbol", "symbol", "the symbol is no instrument here"),
    Reason.INSTRUMENT_HALTED: ("instrument_halted", "symbol", "this instrument is halted"),
    Reason.BAD_FIELD: ("not_allowed", None, "the combination of type, time_in_force and flags makes no sense"),
    Reason.BAD_QUANTITY: ("bad_value", "quantity", "the quantity is outside what the order may have"),
    Reason.BAD_PRICE: ("bad_value", "price", "the price is outside what the order may have"),
    Reason.DUPLICATE_CLIENT_ORDER_ID: ("client_order_id_conflict", "client_order_id", "this id was used before"),
    Reason.UNKNOWN_ORDER: ("unknown_order", "order_id", "no such order"),
    Reason.NOT_OWNER: ("unknown_order", "order_id", "no such order"),
    Reason.POST_ONLY_WOULD_CROSS: ("post_only_would_cross", "price", "it would match at once; nothing was done"),
    Reason.BAD_EXPIRY: (
        "bad_value",
        "expires_ns",
        "expires_ns is not after the time at which the engine took the order",
    ),
    Reason.BOOK_FULL: ("book_full", None, "the engine holds as many open orders as it may"),
    Reason.TOO_MANY_FAR_LEVELS: (
        "too_many_far_levels",
        "price",
        "too many price levels this far from the market; nothing was done",
    ),
}


def refusal(event: Event) -> ApiError:
    known = REFUSALS.get(event.reason)
    if known is None:
        return ApiError(
            "internal", f"the engine refused this with reason {event.reason}, which the gateway cannot name"
        )
    code, field, message = known
    return ApiError(code, message, field)


def busy() -> ApiError:
    return ApiError("busy", "too many orders for the disk or for max_orders_per_second; nothing was done, try again")


def full() -> ApiError:
    return ApiError(
        "disk_full", "the engine's disk has no room for more; nothing was done, an operator has to make room"
    )


def _usable(reply: Reply, conflict: str, field: str) -> list[Event]:
    if reply.outcome == Outcome.BUSY:
        raise busy()
    if reply.outcome == Outcome.FULL:
        raise full()
    events = reply.events
    if reply.outcome == Outcome.CONFLICT:
        raise ApiError(conflict, f"this {field} was used before with another body; nothing was done", field)
    return events


def placed(reply: Reply, partition: int, tables: Tables) -> tuple[int, Order]:
    """Status and Order for a new order; raises ApiError."""
    events = _usable(reply, "client_order_id_conflict", "client_order_id")
    if events[0].kind == EventKind.REFUSED:
        raise refusal(events[0])
    return 200 if reply.outcome == Outcome.REPEAT else 201, fold(events, partition, tables)


def cancelled(reply: Reply, caller: Caller, partition: int, tables: Tables) -> Order | None:
    """The cancelled Order; None when the engine knows no such order; raises ApiError."""
    events = _usable(reply, "request_id_conflict", "request_id")
    if events[0].kind != EventKind.REFUSED:
        return fold(events, partition, tables)
    if events[0].reason != Reason.UNKNOWN_ORDER:
        raise refusal(events[0])
    return closed(fold(events[1:], partition, tables), caller) if len(events) > 1 else None


def closed(order: Order, caller: Caller) -> Order:
    """What a cancel of an order that is no longer open answers: again the Order if it is cancelled, else 409."""
    own(order, caller)
    if order["status"] != "cancelled":
        raise ApiError("order_closed", f"order {order['order_id']} is {order['status']}", "order_id")
    return order


def replaced(reply: Reply, partition: int, tables: Tables) -> Order:
    events = _usable(reply, "request_id_conflict", "request_id")
    if events[0].kind != EventKind.REFUSED:
        return fold(events, partition, tables)
    if events[0].reason == Reason.DUPLICATE_CLIENT_ORDER_ID:
        raise ApiError("request_id_conflict", "this request_id was used before", "request_id")
    if events[0].reason == Reason.UNKNOWN_ORDER:
        raise ApiError("order_closed", "the order is no longer open", "order_id")
    raise refusal(events[0])


def own(order: Order, caller: Caller) -> Order:
    """`order`, if the caller may see it; else it does not exist for him."""
    if not caller.may_see(order["account"]):
        raise unknown_order(order["order_id"])
    return order


def unknown_order(order_id: str) -> ApiError:
    return ApiError("unknown_order", f"there is no order {order_id}", "order_id")
