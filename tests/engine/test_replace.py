"""Replace: what keeps the place in the queue, what loses it, and what it may not do."""

from __future__ import annotations

import pytest

from engine.records import POST_ONLY, PRICE_TICKS_MAX, QUANTITY_LOTS_MAX, EventKind, Reason
from tests.engine.market import ANA, BASE, BEN, BUY, SELL, Market, fills, kinds, refusal

P = BASE + 5000


def queue(market: Market) -> list[int]:
    """Who would be filled first, second ..., found out by filling them."""
    return [maker for maker, _, _ in fills(market.order(BUY, 1 << 40))]


@pytest.mark.parametrize(
    ("quantity", "price", "keeps"), [(5, P, True), (1, P, True), (6, P, False), (5, P + 1, False), (1, P + 1, False)]
)
def test_place_is_kept_only_at_the_same_price_without_growing(
    market: Market, quantity: int, price: int, keeps: bool
) -> None:
    first, second = market.rest(SELL, 5, P), market.rest(SELL, 5, P)
    (replaced,) = market.replace(first, quantity, price)
    assert (replaced.kind, replaced.order, replaced.price) == (EventKind.REPLACED, first, price)
    assert (replaced.quantity, replaced.leaves) == (quantity, quantity)
    assert queue(market) == ([first, second] if keeps else [second, first])


def test_growing_and_coming_back_loses_the_place(market: Market) -> None:
    first, second = market.rest(SELL, 5, P), market.rest(SELL, 5, P)
    market.replace(first, 5, P + 1)
    market.replace(first, 5, P)
    assert queue(market) == [second, first]


def test_quantity_is_the_new_total_fills_included(market: Market) -> None:
    order = market.rest(SELL, 10, P)
    market.order(BUY, 4, P)
    assert refusal(market.replace(order, 4, P)) == Reason.BAD_QUANTITY
    (replaced,) = market.replace(order, 7, P)
    assert (replaced.quantity, replaced.leaves) == (7, 3)
    assert market.levels() == ([], [(P, 3, 1)])
    (replaced,) = market.replace(order, 11, P + 3)
    assert (replaced.quantity, replaced.leaves) == (11, 7)
    assert market.levels() == ([], [(P + 3, 7, 1)])


def test_replace_into_a_cross_matches_as_the_taker(market: Market) -> None:
    maker = market.rest(BUY, 3, P)
    order = market.rest(SELL, 10, P + 5)
    events = market.replace(order, 10, P - 5)
    assert kinds(events) == [EventKind.REPLACED, EventKind.FILL, EventKind.FILL]
    assert fills(events) == [(maker, P, 3)]
    assert (events[2].order, events[2].leaves) == (order, 7)
    assert market.levels() == ([], [(P - 5, 7, 1)])


def test_replace_that_fills_completely_leaves_nothing_behind(market: Market) -> None:
    market.rest(BUY, 30, P)
    order = market.rest(SELL, 10, P + 5)
    events = market.replace(order, 12, P)
    assert events[-1].leaves == 0
    assert refusal(market.cancel(order)) == Reason.UNKNOWN_ORDER
    assert market.levels() == ([(P, 18, 1)], [])


def test_sibling_of_the_level_survives(market: Market) -> None:
    one, two = market.rest(SELL, 5, P), market.rest(SELL, 7, P)
    market.replace(one, 5, P + 2)
    assert market.levels() == ([], [(P, 7, 1), (P + 2, 5, 1)])
    market.replace(two, 7, P + 2)
    assert market.levels() == ([], [(P + 2, 12, 2)])


def test_only_owner_and_operator_may_replace(market: Market) -> None:
    order = market.rest(SELL, 5, P, account=ANA)
    assert refusal(market.replace(order, 4, P, account=BEN)) == Reason.NOT_OWNER
    assert kinds(market.replace(order, 4, P, account=0)) == [EventKind.REPLACED]
    assert market.events[-1].account == ANA


@pytest.mark.parametrize(
    ("quantity", "price", "reason"),
    [
        (0, P, Reason.BAD_QUANTITY),
        (-5, P, Reason.BAD_QUANTITY),
        (QUANTITY_LOTS_MAX + 1, P, Reason.BAD_QUANTITY),
        (5, 0, Reason.BAD_PRICE),
        (5, PRICE_TICKS_MAX + 1, Reason.BAD_PRICE),
        (0, 0, Reason.BAD_QUANTITY),
    ],
)
def test_bad_replace_changes_nothing(market: Market, quantity: int, price: int, reason: Reason) -> None:
    order = market.rest(SELL, 5, P)
    events = market.replace(order, quantity, price, text=b"r-1")
    assert refusal(events) == reason
    assert (events[0].order, events[0].price, events[0].quantity, events[0].text) == (order, price, quantity, b"r-1")
    assert market.levels() == ([], [(P, 5, 1)])
    assert kinds(market.replace(order, 4, P, text=b"r-1")) == [EventKind.REPLACED], "its request_id is still free"


def test_post_only_order_may_not_be_replaced_into_a_cross(market: Market) -> None:
    market.rest(BUY, 5, P)
    order = market.rest(SELL, 5, P + 2, flags=POST_ONLY)
    assert refusal(market.replace(order, 5, P)) == Reason.POST_ONLY_WOULD_CROSS
    assert kinds(market.replace(order, 5, P + 1)) == [EventKind.REPLACED]


def test_replace_works_in_a_full_book(implementation: str) -> None:
    market = Market(implementation, max_live_orders=2)
    one = market.rest(SELL, 5, P)
    market.rest(SELL, 5, P + 1)
    assert kinds(market.replace(one, 9, P + 7)) == [EventKind.REPLACED]
    assert market.engine.live == 2
    market.engine.check_invariants()
