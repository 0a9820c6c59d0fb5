"""Why a NEW or a REPLACE is refused, in the order that engine/api.py states. Nothing here changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api import FAR_LEVELS_MAX
from engine.records import (
    EXPIRES_NS_MAX,
    POST_ONLY,
    PRICE_TICKS_MAX,
    QUANTITY_LOTS_MAX,
    Command,
    InstrumentState,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)
from engine.rules import order_flags, times_in_force

if TYPE_CHECKING:
    from engine.reference import Engine

SIDES = frozenset(Side)
TYPES = frozenset(OrderType)
RESTING = frozenset((TimeInForce.GTC, TimeInForce.DAY, TimeInForce.GTT))


def why_not_new(engine: Engine, command: Command) -> Reason:
    if engine.halted:
        return Reason.HALTED
    if not 1 <= command.account <= len(engine.accounts):
        return Reason.UNKNOWN_ACCOUNT
    if command.symbol not in engine.books:
        return Reason.UNKNOWN_SYMBOL
    if not is_open(engine, command.symbol):
        return Reason.INSTRUMENT_HALTED
    if command.side not in SIDES or command.type not in TYPES or not 1 <= command.tif <= times_in_force(engine.rules):
        return Reason.BAD_FIELD
    resting = command.tif in RESTING
    if command.flags & ~order_flags(engine.rules) or (command.type == OrderType.MARKET and resting):
        return Reason.BAD_FIELD
    if command.flags & POST_ONLY and not (command.type == OrderType.LIMIT and resting):
        return Reason.BAD_FIELD
    if not 1 <= command.quantity <= QUANTITY_LOTS_MAX:
        return Reason.BAD_QUANTITY
    if command.type == OrderType.LIMIT and not 1 <= command.price <= PRICE_TICKS_MAX:
        return Reason.BAD_PRICE
    if command.type == OrderType.MARKET and command.price != 0:
        return Reason.BAD_PRICE
    if command.tif == TimeInForce.GTT and not engine.out.time_ns < command.extra <= EXPIRES_NS_MAX:
        return Reason.BAD_EXPIRY
    if engine.ids.known(command):
        return Reason.DUPLICATE_CLIENT_ORDER_ID
    if command.flags & POST_ONLY and would_cross(engine, command.symbol, command.side, command.price):
        return Reason.POST_ONLY_WOULD_CROSS
    # Room is asked for every order that could rest, also when it would fill at once: the answer must not depend on
    # how far it will get.
    if resting and engine.live >= engine.max_live_orders:
        return Reason.BOOK_FULL
    if resting and far_levels_exhausted(engine, command.symbol, command.side, command.price):
        return Reason.TOO_MANY_FAR_LEVELS
    return Reason.NONE


def is_open(engine: Engine, symbol: int) -> bool:
    return engine.instruments[symbol - 1][3] == InstrumentState.OPEN


def would_cross(engine: Engine, symbol: int, side: int, price: int) -> bool:
    return engine.books[symbol].matchable_price(side, price) is not None


def far_levels_exhausted(engine: Engine, symbol: int, side: int, price: int) -> bool:
    """Whether resting at `price` would need one level too many outside the dense window."""
    half = engine.books[symbol].own(side)
    return half.is_far(price) and price not in half.queues and half.far_levels >= FAR_LEVELS_MAX


def why_not_replace(engine: Engine, command: Command) -> Reason:
    if engine.halted:
        return Reason.HALTED
    order = engine.orders.get(command.target)
    if order is None:
        return Reason.UNKNOWN_ORDER
    if command.account not in (0, order.account):
        return Reason.NOT_OWNER
    if not is_open(engine, order.symbol):
        return Reason.INSTRUMENT_HALTED
    if not order.filled < command.quantity <= QUANTITY_LOTS_MAX:
        return Reason.BAD_QUANTITY
    if not 1 <= command.price <= PRICE_TICKS_MAX:
        return Reason.BAD_PRICE
    if engine.ids.known(command):
        return Reason.DUPLICATE_CLIENT_ORDER_ID
    if order.flags & POST_ONLY and would_cross(engine, order.symbol, order.side, command.price):
        return Reason.POST_ONLY_WOULD_CROSS
    if far_levels_exhausted(engine, order.symbol, order.side, command.price):
        return Reason.TOO_MANY_FAR_LEVELS
    return Reason.NONE
