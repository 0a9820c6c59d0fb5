"""An order meets one of its own account: who goes, in which order it is told, and what a FOK makes of it. On both books."""

from __future__ import annotations

import pytest

from engine.records import (
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    POST_ONLY,
    Command,
    CommandKind,
    Event,
    EventKind,
    Reason,
    TimeInForce,
)
from tests.engine.market import ANA, BASE, BEN, BUY, SELL, Market, fills, kinds, refusal

BOTH = CANCEL_NEWEST | CANCEL_OLDEST


@pytest.fixture
def market(market: Market) -> Market:
    market.do(Command(CommandKind.ADOPT_RULES, quantity=2))
    return market


def cancelled(events: list[Event]) -> list[tuple[int, int, Reason]]:
    """(order, how much was open, why) of each."""
    return [(e.order, e.quantity, Reason(e.reason)) for e in events if e.kind == EventKind.CANCELLED]


def test_without_an_instruction_an_account_trades_with_itself(market: Market) -> None:
    mine = market.rest(SELL, 5, BASE)
    assert fills(market.order(BUY, 5, BASE)) == [(mine, BASE, 5)]


def test_newest_goes_with_what_is_left_of_it(market: Market) -> None:
    theirs, mine = market.rest(SELL, 3, BASE, account=BEN), market.rest(SELL, 5, BASE)
    events = market.order(BUY, 9, BASE + 1, flags=CANCEL_NEWEST)
    assert fills(events) == [(theirs, BASE, 3)]
    assert cancelled(events) == [(events[0].order, 6, Reason.SELF_TRADE)]
    assert market.levels() == ([], [(BASE, 5, 1)])
    assert market.engine.live_orders() == [mine]


def test_oldest_goes_and_the_coming_order_trades_on(market: Market) -> None:
    first, theirs = market.rest(SELL, 5, BASE), market.rest(SELL, 3, BASE, account=BEN)
    second = market.rest(SELL, 4, BASE + 1)
    events = market.order(BUY, 9, BASE + 1, flags=CANCEL_OLDEST)
    assert kinds(events) == [
        EventKind.ACCEPTED, EventKind.CANCELLED, EventKind.FILL, EventKind.FILL, EventKind.CANCELLED,
    ]  # fmt: skip
    assert cancelled(events) == [(first, 5, Reason.SELF_TRADE), (second, 4, Reason.SELF_TRADE)]
    assert fills(events) == [(theirs, BASE, 3)]
    assert market.levels() == ([(BASE + 1, 6, 1)], [])


def test_both_go_the_resting_one_first(market: Market) -> None:
    mine, more = market.rest(SELL, 5, BASE), market.rest(SELL, 1, BASE)
    events = market.order(BUY, 9, BASE, flags=BOTH)
    assert cancelled(events) == [(mine, 5, Reason.SELF_TRADE), (events[0].order, 9, Reason.SELF_TRADE)]
    assert market.engine.live_orders() == [more]


def test_what_the_coming_order_says_counts(market: Market) -> None:
    mine = market.rest(SELL, 5, BASE, flags=BOTH)
    assert fills(market.order(BUY, 5, BASE)) == [(mine, BASE, 5)]


def test_orders_of_others_are_met_as_ever(market: Market) -> None:
    theirs = market.rest(SELL, 5, BASE, account=BEN)
    assert fills(market.order(BUY, 5, BASE, flags=BOTH)) == [(theirs, BASE, 5)]


@pytest.mark.parametrize("tif", [TimeInForce.IOC, TimeInForce.GTC])
def test_a_cancelled_rest_says_why(market: Market, tif: TimeInForce) -> None:
    market.rest(SELL, 5, BASE)
    assert cancelled(market.order(BUY, 2, BASE, tif=tif, flags=CANCEL_NEWEST))[0][2] == Reason.SELF_TRADE
    market.cancel(market.engine.live_orders()[0])
    rest = cancelled(market.order(BUY, 2, BASE, tif=TimeInForce.IOC, flags=CANCEL_NEWEST))
    assert [why for _, _, why in rest] == [Reason.UNFILLED_REST]


def test_a_market_order_sweeps_its_own_away(market: Market) -> None:
    mine, theirs = market.rest(SELL, 5, BASE), market.rest(SELL, 2, BASE + 9, account=BEN)
    events = market.order(BUY, 2, flags=CANCEL_OLDEST)
    assert cancelled(events) == [(mine, 5, Reason.SELF_TRADE)]
    assert fills(events) == [(theirs, BASE + 9, 2)]


@pytest.mark.parametrize(
    ("flags", "quantity", "filled"),
    [
        (CANCEL_NEWEST, 3, True),  # before its own order is reached
        (CANCEL_NEWEST, 4, False),
        (CANCEL_OLDEST, 5, True),  # behind it
        (CANCEL_OLDEST, 6, False),
        (BOTH, 3, True),
        (BOTH, 4, False),
    ],
)
def test_a_fok_counts_only_what_it_would_trade_with(market: Market, flags: int, quantity: int, filled: bool) -> None:
    market.rest(SELL, 3, BASE, account=BEN)
    mine = market.rest(SELL, 8, BASE)
    market.rest(SELL, 2, BASE + 1, account=BEN)
    before = market.engine.live
    events = market.order(BUY, quantity, BASE + 1, tif=TimeInForce.FOK, flags=flags)
    if filled:
        assert sum(lots for _, _, lots in fills(events)) == quantity
        assert (mine in market.engine.live_orders()) == (quantity == 3)
    else:
        assert cancelled(events) == [(events[0].order, quantity, Reason.FOK_NOT_FILLABLE)]
        assert market.engine.live == before


@pytest.mark.parametrize("flags", [CANCEL_NEWEST, CANCEL_OLDEST, BOTH])
def test_a_replace_keeps_the_instruction(market: Market, flags: int) -> None:
    sell = market.rest(SELL, 5, BASE)
    buy = market.rest(BUY, 7, BASE - 9, flags=flags)
    events = market.replace(buy, 8, BASE)
    gone = [(sell, 5, Reason.SELF_TRADE)] if flags & CANCEL_OLDEST else []
    gone += [(buy, 8, Reason.SELF_TRADE)] if flags & CANCEL_NEWEST else []
    assert (events[0].kind, cancelled(events)) == (EventKind.REPLACED, gone)
    assert market.engine.live == 2 - len(gone)
    market.engine.check_invariants()


def test_post_only_is_refused_before_anybody_goes(market: Market) -> None:
    market.rest(SELL, 5, BASE)
    assert refusal(market.order(BUY, 5, BASE, flags=POST_ONLY | BOTH)) == Reason.POST_ONLY_WOULD_CROSS
    assert market.engine.live == 1
    market.rest(BUY, 5, BASE - 1, flags=POST_ONLY | BOTH)


def test_another_instruction_is_another_order_to_the_client_id(market: Market) -> None:
    command = Command(CommandKind.NEW, BUY, 1, 1, CANCEL_NEWEST, ANA, 1, BASE, 1, text=b"once")
    market.do(command)
    assert market.engine.find(command.pack()) > 0
    assert market.engine.find(command._replace(flags=CANCEL_OLDEST).pack()) < 0
