import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.records import (
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    COMMAND_BYTES,
    POST_ONLY,
    Command,
    CommandKind,
    OrderType,
    Side,
    TimeInForce,
)
from stack.gateway.errors import TABLE, ApiError
from stack.gateway.model import parse_order
from stack.keys import ANYBODY, Caller
from stack.wire.decimals import Step
from stack.wire.tables import Listed
from tests.stack.gateway.bad_orders import BAD, body, raw

INSTRUMENTS = {
    "AAPL": Listed(1, "AAPL", Step.parse("0.01"), Step.parse("1"), "USD", "open"),
    "BTCUSDT": Listed(2, "BTCUSDT", Step.parse("0.01"), Step.parse("0.00001"), "USDT", "open"),
    "ESH4": Listed(3, "ESH4", Step.parse("0.25"), Step.parse("1"), "USD", "open"),
}
ACCOUNTS = {"alice": 7, "bob": 8}


def parse(data: bytes, caller: Caller = ANYBODY) -> Command:
    packed = parse_order(data, INSTRUMENTS, ACCOUNTS, caller)
    assert len(packed) == COMMAND_BYTES
    return Command.unpack(packed)


@pytest.mark.parametrize("name", BAD)
def test_bad_bodies_name_code_and_field(name: str) -> None:
    data, code, field = BAD[name]
    with pytest.raises(ApiError) as caught:
        parse(data)
    assert (caught.value.code, caught.value.field) == (code, field), caught.value.message
    assert len(caught.value.message) < 300, "a message is for people, not an echo of the body"
    json.dumps(caught.value.body()).encode()


def test_a_limit_order_becomes_ticks_and_lots() -> None:
    assert parse(body()) == Command(
        CommandKind.NEW, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 0, 7, 1, 19025, 10, 0, 0, b"c-1"
    )


@pytest.mark.parametrize(
    ("text", "ticks"),
    [('"190.25"', 19025), ("190.25", 19025), ("190.250000", 19025), ("19025e-2", 19025), ("1.9e2", 19000)],
)
def test_a_price_is_exact_however_it_is_written(text: str, ticks: int) -> None:
    assert parse(raw("price", text)).price == ticks


def test_no_float_rounds_a_long_decimal() -> None:
    data = body(symbol="BTCUSDT", price="0.01", quantity=...)[:-1] + b', "quantity": 90071992547.40991}'
    assert parse(data).quantity == 9007199254740991


def test_a_tick_that_is_no_power_of_ten() -> None:
    assert parse(body(symbol="ESH4", price="4785.75")).price == 19143
    with pytest.raises(ApiError, match="not_a_multiple"):
        parse(body(symbol="ESH4", price="4785.80"))


def test_defaults_of_time_in_force() -> None:
    assert parse(body(time_in_force=...)).tif == TimeInForce.GTC
    assert parse(body(time_in_force=None)).tif == TimeInForce.GTC
    assert parse(body(type="market", price=..., time_in_force=...)).tif == TimeInForce.IOC
    assert parse(body(type="market", price=None, time_in_force="FOK")).tif == TimeInForce.FOK


def test_post_only_is_a_flag() -> None:
    assert parse(body(post_only=True)).flags == POST_ONLY
    assert parse(body(post_only=False, time_in_force="IOC")).flags == 0


@pytest.mark.parametrize(
    ("said", "flags"),
    [("cancel_newest", CANCEL_NEWEST), ("cancel_oldest", CANCEL_OLDEST), ("cancel_both", 12), (None, 0)],
)
def test_self_trade_is_two_flags(said: str | None, flags: int) -> None:
    assert parse(body(self_trade=said)).flags == flags
    assert parse(body(self_trade=said, post_only=True)).flags == flags | POST_ONLY
    assert parse(body(self_trade=said, type="market", price=None, time_in_force="IOC")).flags == flags


def test_the_account_comes_from_the_key() -> None:
    trader = Caller("trader", "bob")
    assert parse(body(account=...), trader).account == 8
    assert parse(body(account="bob"), trader).account == 8
    with pytest.raises(ApiError) as caught:
        parse(body(account="alice"), trader)
    assert (caught.value.status, caught.value.code, caught.value.field) == (403, "wrong_account", "account")


def test_an_operator_of_every_account_names_it() -> None:
    with pytest.raises(ApiError, match="missing_field"):
        parse(body(account=...), Caller("operator", None))
    assert parse(body(account="bob"), Caller("operator", None)).account == 8


def test_each_code_has_one_status_and_a_meaning() -> None:
    assert all(400 <= status < 600 and meaning for status, meaning in TABLE.values())


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_an_order_or_an_error(data: bytes) -> None:
    with pytest.raises(ApiError):
        parse(data)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(json.loads(body()))), _json)
def test_any_value_of_a_member_is_taken_or_refused_cleanly(member: str, value: object) -> None:
    try:
        command = parse(body(**{member: value}))
    except ApiError as error:
        assert error.status in (422, 403)
    else:
        assert command.kind == CommandKind.NEW and command.quantity > 0
