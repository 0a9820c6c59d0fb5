"""Ids of clients: used once, found again, forgotten after two rolls, kept for live orders."""

from __future__ import annotations

from engine.records import Command, CommandKind, EventKind, Reason
from tests.engine.market import ANA, BASE, BEN, BUY, SELL, Market, kinds, refusal

P = BASE + 5000


def new(text: bytes, **fields: int) -> Command:
    good = {"side": 1, "type": 1, "tif": 1, "account": ANA, "symbol": 1, "price": P, "quantity": 5}
    return Command(CommandKind.NEW, **{**good, **fields}, text=text)


def roll(market: Market) -> None:
    assert kinds(market.do(Command(CommandKind.ROLL_CLIENT_IDS))) == [EventKind.CLIENT_IDS_ROLLED]


def test_an_id_is_used_once_also_after_its_order_is_gone(market: Market) -> None:
    order = market.rest(BUY, 5, P, text=b"a")
    assert refusal(market.order(BUY, 5, P, text=b"a")) == Reason.DUPLICATE_CLIENT_ORDER_ID
    assert market.events[-1].text == b"a"
    market.cancel(order)
    assert refusal(market.order(BUY, 5, P, text=b"a")) == Reason.DUPLICATE_CLIENT_ORDER_ID


def test_ids_are_unique_per_account_and_symbol(market: Market) -> None:
    market.define(2)
    market.rest(BUY, 5, P, text=b"a")
    market.rest(BUY, 5, P, text=b"a", account=BEN)
    market.rest(BUY, 5, P, text=b"a", symbol=2)
    market.rest(BUY, 5, P, text=b"A")
    market.rest(BUY, 5, P, text=b"a\0")
    market.rest(BUY, 5, P, text=b"a" * 44)
    assert market.engine.client_ids == 6


def test_orders_without_an_id_are_never_duplicates(market: Market) -> None:
    market.rest(BUY, 5, P, text=b"")
    market.rest(BUY, 5, P, text=b"")
    assert market.engine.client_ids == 0
    assert market.engine.find(new(b"").pack()) == 0


def test_find_tells_same_body_from_another(market: Market) -> None:
    assert market.engine.find(new(b"a").pack()) == 0
    market.do(new(b"a"))
    used = market.engine.sequence
    assert market.engine.find(new(b"a").pack(token=99)) == used
    for change in ({"side": 2}, {"type": 2}, {"tif": 2}, {"flags": 1}, {"price": 1}, {"quantity": 6}, {"target": 1}):
        assert market.engine.find(new(b"a", **change).pack()) == -used, change
    assert market.engine.find(new(b"a", account=BEN).pack()) == 0
    assert market.engine.find(Command(CommandKind.CANCEL, account=ANA, text=b"a").pack()) == 0


def test_refused_orders_leave_their_id_free(market: Market) -> None:
    market.do(Command(CommandKind.HALT))
    assert refusal(market.do(new(b"a"))) == Reason.HALTED
    market.do(Command(CommandKind.RESUME))
    assert market.engine.find(new(b"a").pack()) == 0
    assert kinds(market.do(new(b"a"))) == [EventKind.ACCEPTED]


def test_request_ids_are_the_accounts_and_apart_from_order_ids(market: Market) -> None:
    order = market.rest(SELL, 5, P, text=b"x")
    assert kinds(market.replace(order, 4, P, text=b"x")) == [EventKind.REPLACED]
    used = market.engine.sequence
    again = Command(CommandKind.REPLACE, account=ANA, price=P, quantity=4, target=order, text=b"x")
    assert market.engine.find(again.pack()) == used
    assert market.engine.find(again._replace(symbol=1).pack()) == used, "its symbol follows from the target"
    assert market.engine.find(again._replace(quantity=3).pack()) == -used
    assert refusal(market.replace(order, 3, P, text=b"x")) == Reason.DUPLICATE_CLIENT_ORDER_ID
    assert kinds(market.replace(order, 3, P, account=0, text=b"x")) == [EventKind.REPLACED]


def test_ids_are_forgotten_after_two_rolls(market: Market) -> None:
    market.do(new(b"a", tif=2))
    assert market.engine.client_ids == 1
    roll(market)
    assert market.engine.client_ids == 0
    assert refusal(market.do(new(b"a", tif=2))) == Reason.DUPLICATE_CLIENT_ORDER_ID
    roll(market)
    assert market.engine.find(new(b"a", tif=2).pack()) == 0
    assert kinds(market.do(new(b"a", tif=2)))[0] == EventKind.ACCEPTED


def test_live_orders_keep_their_ids_over_any_number_of_rolls(market: Market) -> None:
    market.do(new(b"live"))
    order = market.engine.sequence
    market.do(new(b"gone", side=2, price=P + 5))
    gone = market.engine.sequence
    for _ in range(5):
        roll(market)
        market.engine.check_invariants()
        assert market.engine.find(new(b"live").pack()) == order
    market.cancel(gone)
    market.do(new(b"other"))
    roll(market)
    roll(market)
    assert market.engine.find(new(b"gone", side=2, price=P + 5).pack()) == 0
    assert market.engine.find(new(b"live").pack()) == order
    assert market.engine.find(new(b"other").pack()) == order + 2 + 5 + 1
    assert market.engine.client_ids == 0, "carried ids do not count against the next generation"


def test_request_ids_do_not_outlive_two_rolls(market: Market) -> None:
    order = market.rest(SELL, 5, P)
    market.replace(order, 4, P, text=b"r")
    roll(market)
    assert refusal(market.replace(order, 4, P, text=b"r")) == Reason.DUPLICATE_CLIENT_ORDER_ID
    roll(market)
    assert kinds(market.replace(order, 4, P, text=b"r")) == [EventKind.REPLACED]


def test_more_ids_than_planned_are_all_found(implementation: str) -> None:
    """The tables grow when nobody rolls in time, and live orders' ids move along."""
    market = Market(implementation, client_ids_max=1, max_live_orders=50)
    sequences = {}
    for number in range(1500):
        text = b"id-%d" % number
        market.do(new(text) if number % 40 == 0 else new(text, tif=2))
        sequences[text] = market.engine.sequence
    market.engine.check_invariants()
    for text, sequence in sequences.items():
        assert abs(market.engine.find(new(text).pack())) == sequence
    roll(market)
    roll(market)
    market.engine.check_invariants()
    found = [number for number in range(1500) if market.engine.find(new(b"id-%d" % number).pack())]
    assert found == list(range(0, 1500, 40))


def test_nothing_comes_back_when_a_stamp_starts_over(implementation: str) -> None:
    """A compiled table's generation counts to 65,535; after that its first entries must not look alive again."""
    market = Market(implementation, client_ids_max=10, max_live_orders=10)
    order = market.rest(BUY, 5, P, text=b"live")
    market.order(BUY, 5, P, text=b"one", tif=2)
    roll(market)
    market.order(BUY, 5, P, text=b"other", tif=2)
    rolls = Command(CommandKind.ROLL_CLIENT_IDS).pack() * 65_530
    for _ in range(2):
        market.engine.apply(market.encoder.extend(rolls, 1))
        market.encoder.take()
    for _ in range(20):
        roll(market)
        assert market.engine.find(new(b"one", tif=2).pack()) == market.engine.find(new(b"other", tif=2).pack()) == 0
        assert market.engine.find(new(b"live").pack()) == order
    market.engine.check_invariants()
