"""The edges of the dense price window, and the levels outside it."""

from __future__ import annotations

import pytest

from engine.api import FAR_LEVELS_MAX, WINDOW_TICKS
from engine.records import PRICE_TICKS_MAX, EventKind, Instrument, Reason, Side, TimeInForce
from tests.engine.market import BASE, BUY, SELL, Market, fills, kinds, refusal

TOP = BASE + WINDOW_TICKS
EDGES = [1, 2, BASE - 1, BASE, BASE + 1, TOP - 1, TOP, TOP + 1, PRICE_TICKS_MAX - 1, PRICE_TICKS_MAX]


@pytest.mark.parametrize("side", Side)
def test_priority_holds_across_the_edges_of_the_window(market: Market, side: Side) -> None:
    orders = {price: market.rest(side, 1, price) for price in EDGES[3::-1] + EDGES[4:]}
    best_first = sorted(EDGES, reverse=side == BUY)
    bids, asks = market.levels()
    assert (bids if side == BUY else asks) == [(price, 1, 1) for price in best_first]
    taken = fills(market.order(SELL if side == BUY else BUY, len(EDGES)))
    assert taken == [(orders[price], price, 1) for price in best_first]


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("edge", [BASE, TOP])
def test_crossing_is_exact_at_the_edges(market: Market, side: Side, edge: int) -> None:
    away = 1 if side == BUY else -1
    market.rest(side, 1, edge)
    other = SELL if side == BUY else BUY
    assert not fills(market.order(other, 1, edge + away, tif=TimeInForce.IOC))
    assert len(fills(market.order(other, 1, edge, tif=TimeInForce.IOC))) == 1
    market.rest(side, 1, edge)
    assert len(fills(market.order(other, 1, edge - away, tif=TimeInForce.IOC))) == 1


def test_cancel_and_replace_cross_the_edges(market: Market) -> None:
    order = market.rest(SELL, 5, TOP - 1)
    for price in (TOP, TOP + 9, TOP - 1, BASE, BASE - 1, BASE - 9, PRICE_TICKS_MAX):
        assert kinds(market.replace(order, 5, price)) == [EventKind.REPLACED]
        assert market.levels() == ([], [(price, 5, 1)])
        market.engine.check_invariants()
    market.cancel(order)
    assert market.levels() == ([], [])


def test_queue_of_a_far_level_keeps_its_order_while_others_come_and_go(market: Market) -> None:
    first, second = market.rest(SELL, 1, TOP + 50), market.rest(SELL, 1, TOP + 50)
    for price in (TOP + 10, TOP + 90, TOP + 20, TOP + 80):
        market.rest(SELL, 1, price)
    third = market.rest(SELL, 1, TOP + 50)
    market.cancel(second)
    assert [maker for maker, price, _ in fills(market.order(BUY, 9)) if price == TOP + 50] == [first, third]


@pytest.mark.parametrize("side", Side)
def test_one_far_level_too_many_is_refused_and_the_window_stays_open(market: Market, side: Side) -> None:
    start = 1 if side == BUY else TOP + 1
    orders = [market.rest(side, 1, start + ticks, text=b"") for ticks in range(FAR_LEVELS_MAX)]
    beyond = start + FAR_LEVELS_MAX
    assert refusal(market.order(side, 1, beyond)) == Reason.TOO_MANY_FAR_LEVELS
    near = market.rest(side, 1, BASE + 5)
    assert refusal(market.replace(near, 1, beyond)) == Reason.TOO_MANY_FAR_LEVELS
    assert refusal(market.replace(orders[0], 1, beyond)) == Reason.TOO_MANY_FAR_LEVELS, (
        "asked before its own level goes"
    )
    market.rest(side, 1, start + 3)  # a level that is there
    assert kinds(market.replace(orders[0], 1, start + 7)) == [EventKind.REPLACED]
    market.rest(side, 1, beyond)
    assert refusal(market.order(side, 1, beyond + 1)) == Reason.TOO_MANY_FAR_LEVELS
    takes = market.order(side, 1, beyond + 1, tif=TimeInForce.IOC)
    assert kinds(takes) == [EventKind.ACCEPTED, EventKind.CANCELLED], "what cannot rest needs no level"


def test_sides_and_symbols_count_their_far_levels_apart(market: Market) -> None:
    for ticks in range(FAR_LEVELS_MAX):
        market.rest(BUY, 1, 1 + ticks, text=b"")
    market.rest(SELL, 1, TOP + 1)
    market.define(2)
    market.rest(BUY, 1, 5000, symbol=2)
    assert refusal(market.order(BUY, 1, 5000)) == Reason.TOO_MANY_FAR_LEVELS


@pytest.mark.parametrize("base", [0, PRICE_TICKS_MAX])
def test_window_may_begin_at_either_end_of_all_prices(market: Market, base: int) -> None:
    instrument = Instrument(2, b"EDGE", 1, 0, 1, 0, b"USD", base_ticks=base)
    assert kinds(market.do(instrument.pack())) == [EventKind.INSTRUMENT_DEFINED]
    market.rest(BUY, 1, 1, symbol=2)
    market.rest(SELL, 1, PRICE_TICKS_MAX, symbol=2)
    assert market.levels(2) == ([(1, 1, 1)], [(PRICE_TICKS_MAX, 1, 1)])
    assert len(fills(market.order(SELL, 1, 1, symbol=2))) == 1


def test_depth_walks_sparse_bitmaps(market: Market) -> None:
    """One level in each kind of bitmap word: neighbours, 64, 4096 and 262144 ticks apart."""
    prices = sorted(
        {BASE + d for d in (0, 1, 63, 64, 65, 4095, 4096, 4097, 262_143, 262_144, 262_145, WINDOW_TICKS - 1)}
    )
    for price in prices:
        market.rest(BUY, 1, price)
    assert [price for price, _, _ in market.levels()[0]] == prices[::-1]
    for price in prices[::2]:
        market.cancel(
            next(
                o for o in market.engine.live_orders() if market.events[market.engine.last_event(o) - 1].price == price
            )
        )
        market.engine.check_invariants()
    assert [price for price, _, _ in market.levels()[0]] == prices[1::2][::-1]
