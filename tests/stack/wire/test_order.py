import pytest

from engine.records import MAKER, POST_ONLY, Event, EventKind, OrderType, Reason, Side, TimeInForce
from stack.wire.decimals import Step
from stack.wire.order import fold, order_id, parse_order_id
from stack.wire.tables import Listed, Tables

TABLES = Tables([Listed(1, "AAPL", Step(25, 2), Step(1, 3), "USD", "open")], [(1, "alice")])


def event(kind: EventKind, sequence: int, **fields: int | bytes) -> Event:
    values = {
        "sequence": sequence, "order": 7, "time_ns": sequence * 10, "previous": 0, "price": 400, "quantity": 0,
        "leaves": 0, "trade": 0, "account": 1, "symbol": 1, "index": 0, "kind": kind, "side": Side.BUY,
        "type": OrderType.LIMIT, "tif": TimeInForce.GTC,
    }  # fmt: skip
    return Event(**{**values, **fields})  # type: ignore[arg-type]


ACCEPTED = event(EventKind.ACCEPTED, 7, quantity=5000, leaves=5000, text=b"mine", flags=POST_ONLY)


def test_an_accepted_order_is_open_with_every_field() -> None:
    assert fold([ACCEPTED], 0, TABLES) == {
        "order_id": "0-7", "client_order_id": "mine", "account": "alice", "symbol": "AAPL", "side": "buy",
        "type": "limit", "time_in_force": "GTC", "post_only": True, "self_trade": None, "expires_ns": None, "price": "100", "quantity": "5",
        "filled_quantity": "0", "leaves_quantity": "5", "average_price": None, "status": "open", "reason": None,
        "sequence": 7, "created_ns": 70, "updated_ns": 70, "fills": [],
    }  # fmt: skip


def test_fills_add_up_to_filled_with_an_average_price() -> None:
    first = event(EventKind.FILL, 9, price=400, quantity=2000, leaves=3000, trade=1, flags=MAKER)
    order = fold([ACCEPTED, first], 2, TABLES)
    assert (order["status"], order["filled_quantity"], order["leaves_quantity"]) == ("partially_filled", "2", "3")
    assert order["fills"] == [{"trade_id": "2-1", "price": "100", "quantity": "2", "liquidity": "maker"}]
    order = fold([ACCEPTED, first, event(EventKind.FILL, 12, price=401, quantity=3000, trade=4)], 2, TABLES)
    assert (order["status"], order["average_price"], order["sequence"]) == ("filled", "100.15", 12)
    assert order["updated_ns"] == 120
    assert order["fills"][1]["liquidity"] == "taker"


def test_an_average_that_does_not_end_is_rounded_half_up() -> None:
    fills = [event(EventKind.FILL, 8, price=1, quantity=1000), event(EventKind.FILL, 9, price=3, quantity=2000)]
    assert fold([ACCEPTED, *fills], 0, TABLES)["average_price"] == "0.5833333333"


def test_a_partly_filled_order_that_is_cancelled_is_cancelled_with_its_reason() -> None:
    fill = event(EventKind.FILL, 7, quantity=2000, leaves=3000, index=1)
    rest = event(EventKind.CANCELLED, 7, quantity=3000, leaves=0, index=2, reason=Reason.UNFILLED_REST)
    order = fold([ACCEPTED, fill, rest], 0, TABLES)
    assert (order["status"], order["reason"], order["filled_quantity"]) == ("cancelled", "unfilled_rest", "2")


def test_a_replace_changes_price_and_quantity_and_keeps_fills() -> None:
    fill = event(EventKind.FILL, 8, quantity=2000, leaves=3000)
    replaced = event(EventKind.REPLACED, 9, price=404, quantity=9000, leaves=7000, text=b"request")
    order = fold([ACCEPTED, fill, replaced], 0, TABLES)
    assert (order["price"], order["quantity"], order["leaves_quantity"], order["filled_quantity"]) == (
        "101",
        "9",
        "7",
        "2",
    )
    assert (order["status"], order["client_order_id"]) == ("partially_filled", "mine")


def test_a_refused_new_order_is_rejected_under_its_own_sequence() -> None:
    refused = event(EventKind.REFUSED, 11, order=0, quantity=5000, reason=Reason.BAD_PRICE, text=b"mine")
    order = fold([refused], 0, TABLES)
    assert (order["order_id"], order["status"], order["reason"], order["leaves_quantity"]) == (
        "0-11",
        "rejected",
        "bad_price",
        "0",
    )


def test_a_market_order_has_no_price() -> None:
    market = event(EventKind.ACCEPTED, 7, price=0, type=OrderType.MARKET, tif=TimeInForce.IOC, quantity=1, leaves=1)
    order = fold([market], 0, TABLES)
    assert (order["price"], order["type"], order["time_in_force"], order["quantity"]) == (
        None,
        "market",
        "IOC",
        "0.001",
    )


def test_a_chain_without_its_beginning_is_an_error() -> None:
    with pytest.raises(ValueError, match="order 7"):
        fold([event(EventKind.FILL, 8, quantity=1)], 0, TABLES)


def test_order_ids_are_read_back_and_nothing_else_is() -> None:
    assert parse_order_id(order_id(3, 1 << 60)) == (3, 1 << 60)
    for bad in ("", "-", "1", "a-1", "1-", "-1", "01-1", "1-01", "1-0", "1-2-3", "1--2", "\u0661-1", "1-" + "9" * 20):
        assert parse_order_id(bad) is None, bad
