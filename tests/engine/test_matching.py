"""Price-time priority, fills, cancels, and what stays in the book."""

from __future__ import annotations

import pytest

from engine.records import MAKER, EventKind, Reason, Side, TimeInForce
from tests.engine.market import ANA, BASE, BEN, BUY, SELL, Market, fills, kinds, refusal

P = BASE + 5000


def other(side: Side) -> Side:
    return SELL if side == BUY else BUY


def better(side: Side, ticks: int) -> int:
    """A price that many ticks more attractive to the other side."""
    return P + ticks if side == BUY else P - ticks


@pytest.mark.parametrize("side", Side)
def test_first_in_is_first_out(market: Market, side: Side) -> None:
    orders = [market.rest(side, 5, P) for _ in range(4)]
    assert fills(market.order(other(side), 17, P)) == [
        (orders[0], P, 5),
        (orders[1], P, 5),
        (orders[2], P, 5),
        (orders[3], P, 2),
    ]


@pytest.mark.parametrize("side", Side)
def test_better_price_comes_before_older_order(market: Market, side: Side) -> None:
    worst, middle, best = (market.rest(side, 1, better(side, ticks)) for ticks in (0, 3, 9))
    assert fills(market.order(other(side), 3)) == [
        (best, better(side, 9), 1),
        (middle, better(side, 3), 1),
        (worst, better(side, 0), 1),
    ]


@pytest.mark.parametrize("side", Side)
def test_trades_happen_at_the_makers_price(market: Market, side: Side) -> None:
    maker = market.rest(side, 5, better(side, 10))
    assert fills(market.order(other(side), 5, P)) == [(maker, better(side, 10), 5)]


@pytest.mark.parametrize("side", Side)
def test_limit_order_stops_at_its_own_price_and_rests(market: Market, side: Side) -> None:
    market.rest(side, 5, better(side, 1))
    market.rest(side, 5, P)
    taker = market.order(other(side), 12, better(side, 1))[0].order
    assert market.engine.live_orders() == [4 + 1, taker]
    bids, asks = market.levels()
    assert (bids if side == SELL else asks) == [(better(side, 1), 7, 1)]


def test_match_reports_maker_then_taker_under_one_trade_number(market: Market) -> None:
    maker = market.rest(SELL, 5, P, account=BEN)
    accepted, one, two = market.order(BUY, 3, P + 2)
    assert kinds([accepted, one, two]) == [EventKind.ACCEPTED, EventKind.FILL, EventKind.FILL]
    assert (one.order, one.account, one.side, one.leaves, one.flags) == (maker, BEN, SELL, 2, MAKER)
    assert (two.order, two.account, two.side, two.leaves, two.flags) == (accepted.order, ANA, BUY, 0, 0)
    assert one.trade == two.trade == market.engine.trades == 1
    assert (one.price, one.quantity) == (two.price, two.quantity) == (P, 3)
    assert [accepted.index, one.index, two.index] == [0, 1, 2]
    assert {accepted.sequence, one.sequence, two.sequence} == {market.engine.sequence}


def test_events_of_an_order_are_chained_backwards(market: Market) -> None:
    maker = market.rest(SELL, 9, P)
    market.order(BUY, 2, P)
    market.rest(BUY, 1, P - 5)
    market.order(BUY, 3, P)
    market.cancel(maker)
    chain, at = [], market.events[-1].previous
    while at:
        chain.append(market.events[at - 1])
        at = chain[-1].previous
    assert kinds(chain) == [EventKind.FILL, EventKind.FILL, EventKind.ACCEPTED]
    assert {event.order for event in chain} == {maker}


def test_last_event_points_at_the_newest_event_of_live_orders_only(market: Market) -> None:
    maker = market.rest(SELL, 9, P)
    assert market.engine.last_event(maker) == len(market.events)
    market.order(BUY, 2, P)
    newest = market.engine.last_event(maker)
    assert (market.events[newest - 1].order, market.events[newest - 1].leaves) == (maker, 7)
    market.cancel(maker)
    assert market.engine.last_event(maker) == market.engine.last_event(0) == market.engine.last_event(1 << 62) == 0


@pytest.mark.parametrize("gone", [0, 1, 2, 3])
def test_cancel_anywhere_keeps_queue_order(market: Market, gone: int) -> None:
    orders = [market.rest(BUY, 2, P) for _ in range(4)]
    market.cancel(orders.pop(gone))
    assert [maker for maker, _, _ in fills(market.order(SELL, 6, P))] == orders


def test_scattered_cancels_of_a_deep_queue_keep_its_order(market: Market) -> None:
    orders = [market.rest(BUY, 1, P) for _ in range(200)]
    for order in orders[::3] + orders[1::7]:
        if market.engine.last_event(order):
            market.cancel(order)
    left = [order for order in orders if market.engine.last_event(order)]
    assert [maker for maker, _, _ in fills(market.order(SELL, 200, P, tif=TimeInForce.IOC))] == left


@pytest.mark.parametrize("side", Side)
def test_cancel_of_the_best_level_uncovers_the_next(market: Market, side: Side) -> None:
    market.rest(side, 4, P)
    best = market.rest(side, 4, better(side, 3000))
    market.cancel(best)
    bids, asks = market.levels()
    assert (bids if side == BUY else asks) == [(P, 4, 1)]


def test_emptied_side_fills_up_again(market: Market) -> None:
    for _ in range(3):
        order = market.rest(SELL, 4, P)
        market.cancel(order)
        assert market.levels() == ([], [])


def test_sweep_takes_exactly_to_the_boundary_of_a_level(market: Market) -> None:
    for ticks in range(3):
        market.rest(SELL, 5, P + ticks)
        market.rest(SELL, 5, P + ticks)
    events = market.order(BUY, 20, P + 9)
    assert sum(quantity for _, _, quantity in fills(events)) == 20
    assert events[-1].leaves == 0
    assert market.levels() == ([], [(P + 2, 10, 2)])
    assert all(event.quantity > 0 for event in events), "never a trade of nothing"


def test_sweep_through_thousands_of_levels(market: Market) -> None:
    for ticks in range(2000):
        market.rest(SELL, 1, P + 37 * ticks)
    events = market.order(BUY, 1999, 1 << 40, tif=TimeInForce.IOC)
    assert len(fills(events)) == 1999
    assert market.levels() == ([], [(P + 37 * 1999, 1, 1)])


def test_partial_fill_then_cancel_reports_what_was_open(market: Market) -> None:
    maker = market.rest(SELL, 10, P)
    market.order(BUY, 4, P)
    (cancelled,) = market.cancel(maker)
    assert (cancelled.kind, cancelled.reason) == (EventKind.CANCELLED, Reason.BY_CLIENT)
    assert (cancelled.quantity, cancelled.leaves, cancelled.price) == (6, 0, P)


def test_partial_fill_keeps_the_place_in_the_queue(market: Market) -> None:
    first, second = market.rest(SELL, 10, P), market.rest(SELL, 10, P)
    market.order(BUY, 4, P)
    assert fills(market.order(BUY, 8, P)) == [(first, P, 6), (second, P, 2)]


@pytest.mark.parametrize("how", ["filled", "cancelled", "never", "unfilled ioc"])
def test_orders_that_are_not_live_are_unknown(market: Market, how: str) -> None:
    target = 999
    if how == "filled":
        target = market.rest(SELL, 1, P)
        market.order(BUY, 1, P)
    elif how == "cancelled":
        target = market.rest(SELL, 1, P)
        market.cancel(target)
    elif how == "unfilled ioc":
        target = market.order(BUY, 1, P, tif=TimeInForce.IOC)[0].order
    before = market.engine.live
    for events in (market.cancel(target), market.replace(target, 5, P)):
        assert refusal(events) == Reason.UNKNOWN_ORDER
        assert (events[0].order, events[0].previous, events[0].leaves) == (target, 0, 0)
    assert market.engine.live == before


def test_only_owner_and_operator_may_cancel(market: Market) -> None:
    order = market.rest(SELL, 1, P, account=ANA)
    assert refusal(market.cancel(order, account=BEN)) == Reason.NOT_OWNER
    assert kinds(market.cancel(order, account=0)) == [EventKind.CANCELLED]
    assert market.events[-1].account == ANA


def test_level_sums_go_beyond_32_and_64_bits(market: Market) -> None:
    huge = 1 << 53
    for _ in range(2049):
        market.rest(BUY, huge, P)
    assert market.levels() == ([(P, 2049 * huge, 2049)], [])
    assert 2049 * huge > 1 << 64
    events = market.order(SELL, huge, P, tif=TimeInForce.FOK)
    assert len(fills(events)) == 1
    market.order(SELL, huge - 1, P)
    assert market.levels() == ([(P, 2047 * huge + 1, 2048)], [])


def test_symbols_do_not_meet(market: Market) -> None:
    market.define(2)
    market.rest(SELL, 5, P, symbol=1)
    market.rest(BUY, 5, P + 5, symbol=2)
    assert market.levels(1) == ([], [(P, 5, 1)])
    assert market.levels(2) == ([(P + 5, 5, 1)], [])
    assert market.levels(3) == market.levels(0) == ([], [])


def test_book_shows_the_depth_asked_for(market: Market) -> None:
    for ticks in range(5):
        market.rest(BUY, 1 + ticks, P - ticks)
        market.rest(SELL, 1 + ticks, P + 1 + ticks)
    book = market.engine.book(1, 2)
    assert [tuple(level) for level in book.bids] == [(P, 1, 1), (P - 1, 2, 1)]
    assert [tuple(level) for level in book.asks] == [(P + 1, 1, 1), (P + 2, 2, 1)]


def test_orders_come_and_go_far_beyond_the_size_of_the_index(implementation: str) -> None:
    """Entries of a small index are erased and pulled back across its end, over and over."""
    market = Market(implementation, max_live_orders=40, client_ids_max=200)
    waiting: list[int] = []
    for turn in range(3000):
        waiting.append(market.rest(BUY, 1, P - turn % 7, text=b""))
        if len(waiting) > 37:
            assert kinds(market.cancel(waiting.pop(turn * 7919 % 37))) == [EventKind.CANCELLED]
        if turn % 250 == 0:
            market.engine.check_invariants()
    assert market.engine.live_orders() == sorted(waiting)
