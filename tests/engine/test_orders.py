"""Types and times in force, and every reason to refuse a new order."""

from __future__ import annotations

from typing import Any

import pytest

from engine.records import (
    POST_ONLY,
    PRICE_TICKS_MAX,
    QUANTITY_LOTS_MAX,
    Command,
    CommandKind,
    EventKind,
    InstrumentState,
    Reason,
    Side,
    TimeInForce,
)
from tests.engine.market import BASE, BUY, SELL, Market, fills, kinds, refusal

P = BASE + 5000
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK


def test_ioc_rest_is_cancelled_and_never_rests(market: Market) -> None:
    market.rest(SELL, 4, P)
    events = market.order(BUY, 10, P, tif=IOC)
    assert kinds(events) == [EventKind.ACCEPTED, EventKind.FILL, EventKind.FILL, EventKind.CANCELLED]
    assert (events[-1].quantity, events[-1].leaves, events[-1].reason) == (6, 0, Reason.UNFILLED_REST)
    assert market.levels() == ([], [])


def test_ioc_without_a_match_is_one_cancel(market: Market) -> None:
    market.rest(SELL, 4, P)
    events = market.order(BUY, 10, P - 1, tif=IOC)
    assert kinds(events) == [EventKind.ACCEPTED, EventKind.CANCELLED]
    assert events[-1].quantity == 10


def test_market_order_on_an_empty_book_is_cancelled(market: Market) -> None:
    events = market.order(BUY, 10)
    assert kinds(events) == [EventKind.ACCEPTED, EventKind.CANCELLED]
    assert (events[-1].quantity, events[-1].price, events[-1].reason) == (10, 0, Reason.UNFILLED_REST)


def test_market_order_takes_any_price(market: Market) -> None:
    cheap, dear = market.rest(SELL, 1, 1), market.rest(SELL, 1, PRICE_TICKS_MAX)
    assert fills(market.order(BUY, 2)) == [(cheap, 1, 1), (dear, PRICE_TICKS_MAX, 1)]
    high, low = market.rest(BUY, 1, PRICE_TICKS_MAX), market.rest(BUY, 1, 1)
    assert fills(market.order(SELL, 2)) == [(high, PRICE_TICKS_MAX, 1), (low, 1, 1)]


@pytest.mark.parametrize("side", Side)
def test_fok_of_the_exact_sum_fills(market: Market, side: Side) -> None:
    for ticks in (0, 1, 2):
        market.rest(side, 5, P + ticks)
    worst = P if side == BUY else P + 2
    events = market.order(SELL if side == BUY else BUY, 15, worst, tif=FOK)
    assert sum(quantity for _, _, quantity in fills(events)) == 15
    assert market.engine.live == 0


@pytest.mark.parametrize("side", Side)
def test_fok_short_by_one_changes_nothing(market: Market, side: Side) -> None:
    for ticks in (0, 1, 2):
        market.rest(side, 5, P + ticks)
    before = market.levels()
    reach = P + 1
    events = market.order(SELL if side == BUY else BUY, 11, reach, tif=FOK)
    assert kinds(events) == [EventKind.ACCEPTED, EventKind.CANCELLED]
    assert (events[1].quantity, events[1].reason) == (11, Reason.FOK_NOT_FILLABLE)
    assert (market.levels(), market.engine.trades) == (before, 0)


def test_fok_counts_levels_on_both_sides_of_the_window(market: Market) -> None:
    for price in (BASE - 3, BASE, BASE + (1 << 24), BASE + (1 << 30)):
        market.rest(SELL, 5, price)
    assert not fills(market.order(BUY, 16, BASE + (1 << 24), tif=FOK))
    assert not fills(market.order(BUY, 21, tif=FOK)), "a market order may be FOK too"
    assert len(fills(market.order(BUY, 20, tif=FOK))) == 4


def test_post_only_refuses_at_the_touch_and_rests_one_tick_away(market: Market) -> None:
    market.rest(SELL, 5, P)
    for price in (P, P + 1):
        assert refusal(market.order(BUY, 1, price, flags=POST_ONLY)) == Reason.POST_ONLY_WOULD_CROSS
    order = market.rest(BUY, 1, P - 1, flags=POST_ONLY)
    assert market.events[-1].flags == POST_ONLY
    (filled,) = [event for event in market.order(SELL, 1, P - 1) if event.order == order]
    assert filled.flags == POST_ONLY | 2


# ---- refusals, in the order of the checks


def new(**fields: Any) -> Command:
    good: dict[str, Any] = {"side": 1, "type": 1, "tif": 1, "account": 1, "symbol": 1, "price": P, "quantity": 5}
    return Command(CommandKind.NEW, **{**good, "text": b"unused", **fields})


REFUSED = [
    ({"account": 0}, Reason.UNKNOWN_ACCOUNT),
    ({"account": 3}, Reason.UNKNOWN_ACCOUNT),
    ({"account": 0xFFFFFFFF}, Reason.UNKNOWN_ACCOUNT),
    ({"symbol": 0}, Reason.UNKNOWN_SYMBOL),
    ({"symbol": 2}, Reason.UNKNOWN_SYMBOL),
    ({"symbol": 0xFFFFFFFF}, Reason.UNKNOWN_SYMBOL),
    ({"side": 0}, Reason.BAD_FIELD),
    ({"side": 3}, Reason.BAD_FIELD),
    ({"type": 0}, Reason.BAD_FIELD),
    ({"type": 3}, Reason.BAD_FIELD),
    ({"tif": 0}, Reason.BAD_FIELD),
    ({"tif": 4}, Reason.BAD_FIELD),
    ({"flags": 2}, Reason.BAD_FIELD),
    ({"flags": 255}, Reason.BAD_FIELD),
    ({"type": 2, "price": 0}, Reason.BAD_FIELD),  # market, GTC
    ({"flags": POST_ONLY, "tif": 2}, Reason.BAD_FIELD),
    ({"flags": POST_ONLY, "tif": 3}, Reason.BAD_FIELD),
    ({"flags": POST_ONLY, "tif": 2, "type": 2, "price": 0}, Reason.BAD_FIELD),
    ({"quantity": 0}, Reason.BAD_QUANTITY),
    ({"quantity": -1}, Reason.BAD_QUANTITY),
    ({"quantity": QUANTITY_LOTS_MAX + 1}, Reason.BAD_QUANTITY),
    ({"price": 0}, Reason.BAD_PRICE),
    ({"price": -1}, Reason.BAD_PRICE),
    ({"price": PRICE_TICKS_MAX + 1}, Reason.BAD_PRICE),
    ({"price": (1 << 63) - 1}, Reason.BAD_PRICE),
    ({"type": 2, "tif": 2, "price": 1}, Reason.BAD_PRICE),
    ({"account": 3, "symbol": 9, "side": 9, "quantity": 0, "price": 0}, Reason.UNKNOWN_ACCOUNT),
    ({"symbol": 9, "side": 9, "quantity": 0, "price": 0}, Reason.UNKNOWN_SYMBOL),
    ({"side": 9, "quantity": 0, "price": 0}, Reason.BAD_FIELD),
    ({"quantity": 0, "price": 0}, Reason.BAD_QUANTITY),
]


@pytest.mark.parametrize(("fields", "reason"), REFUSED)
def test_refusal_names_the_first_fault_and_changes_nothing(
    market: Market, fields: dict[str, int], reason: Reason
) -> None:
    command = new(**fields)
    (event,) = market.do(command)
    assert (event.kind, event.reason) == (EventKind.REFUSED, reason)
    assert (event.order, event.leaves, event.previous, event.trade) == (0, 0, 0, 0)
    said = (event.side, event.type, event.tif, event.flags, event.account, event.symbol, event.price, event.quantity)
    assert said == (
        command.side, command.type, command.tif, command.flags, command.account, command.symbol, command.price,
        command.quantity,
    )  # fmt: skip
    assert event.text == b"unused"
    assert (market.engine.live, market.engine.client_ids) == (0, 0)
    assert kinds(market.do(new())) == [EventKind.ACCEPTED], "a refused order leaves its id unused"


@pytest.mark.parametrize("kind", [0, 10, 77, 255])
def test_unknown_kinds_are_refused(market: Market, kind: int) -> None:
    events = market.do(Command(kind, account=1, symbol=1, target=5, text=b"?"))
    assert refusal(events) == Reason.BAD_FIELD
    assert (events[0].order, events[0].text) == (0, b"?")


def test_extreme_prices_and_quantities_are_good(market: Market) -> None:
    market.rest(BUY, QUANTITY_LOTS_MAX, 1)
    market.rest(SELL, QUANTITY_LOTS_MAX, PRICE_TICKS_MAX)
    assert market.levels() == ([(1, QUANTITY_LOTS_MAX, 1)], [(PRICE_TICKS_MAX, QUANTITY_LOTS_MAX, 1)])


def test_halted_instrument_refuses_orders_and_replaces_but_lets_cancels_pass(market: Market) -> None:
    order = market.rest(SELL, 5, P)
    market.define(1, InstrumentState.HALTED)
    assert refusal(market.order(BUY, 1, P)) == Reason.INSTRUMENT_HALTED
    assert refusal(market.replace(order, 4, P)) == Reason.INSTRUMENT_HALTED
    assert kinds(market.cancel(order)) == [EventKind.CANCELLED]
    market.define(1, InstrumentState.OPEN)
    market.rest(SELL, 5, P)


def test_full_book_refuses_what_could_rest_and_lets_the_rest_trade(implementation: str) -> None:
    market = Market(implementation, max_live_orders=3)
    orders = [market.rest(SELL, 1, P + ticks) for ticks in range(3)]
    assert refusal(market.order(SELL, 1, P + 9)) == Reason.BOOK_FULL
    assert refusal(market.order(BUY, 1, P)) == Reason.BOOK_FULL, "also when it would fill at once"
    assert len(fills(market.order(BUY, 1, P, tif=IOC))) == 1
    market.rest(SELL, 1, P + 9)
    assert refusal(market.order(SELL, 1, P + 9)) == Reason.BOOK_FULL
    market.cancel(orders[1])
    market.rest(BUY, 1, P - 9)
    market.engine.check_invariants()


def test_apply_takes_whole_consecutive_records_only(market: Market) -> None:
    state = market.engine.state_hash()
    encoder = market.encoder
    first, second, third = (encoder.append(new(text=b"%d" % n).pack(), 5) for n in range(3))
    for bad, message in (
        (first[:-1], "143 bytes are no whole number of records"),
        (first + b"x", "145 bytes are no whole number of records"),
        (second, "sequence 5 where 4 was due"),
        (first + third, "sequence 6 where 5 was due"),
        (first + first, "sequence 4 where 5 was due"),
    ):
        with pytest.raises(ValueError, match=message):
            market.engine.apply(bad)
        assert market.engine.state_hash() == state
    assert market.engine.apply(b"") == b""
    assert len(market.engine.apply(memoryview(bytearray(first + second + third)))) == 3 * 128
