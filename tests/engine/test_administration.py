"""Halt and resume, mass cancel, definitions."""

from __future__ import annotations

from typing import Any

import pytest

from engine.records import PRICE_TICKS_MAX, Command, CommandKind, EventKind, InstrumentState, Reason
from tests.engine.market import ANA, BASE, BEN, BUY, SELL, Market, kinds, refusal

P = BASE + 5000


def test_halt_stops_orders_and_replaces_and_lets_cancels_pass(market: Market) -> None:
    order, another = market.rest(SELL, 5, P), market.rest(SELL, 5, P)
    (halted,) = market.do(Command(CommandKind.HALT, text=b"drawdown 21 %"))
    assert (halted.kind, halted.text, halted.order) == (EventKind.HALTED, b"drawdown 21 %", 0)
    assert market.engine.halted
    assert refusal(market.order(BUY, 1, P)) == Reason.HALTED
    assert refusal(market.order(BUY, 1, P, account=99)) == Reason.HALTED, "asked before anything else"
    assert refusal(market.replace(999, 1, P)) == Reason.HALTED
    assert kinds(market.cancel(order)) == [EventKind.CANCELLED]
    assert kinds(market.do(Command(CommandKind.MASS_CANCEL))) == [EventKind.CANCELLED, EventKind.MASS_CANCELLED]
    assert refusal(market.cancel(another)) == Reason.UNKNOWN_ORDER
    (resumed,) = market.do(Command(CommandKind.RESUME, text=b"ana"))
    assert (resumed.kind, resumed.text) == (EventKind.RESUMED, b"ana")
    market.rest(SELL, 5, P)


def test_halting_twice_is_told_twice(market: Market) -> None:
    for kind, event in ((CommandKind.HALT, EventKind.HALTED), (CommandKind.RESUME, EventKind.RESUMED)):
        for _ in range(2):
            assert kinds(market.do(Command(kind))) == [event]


def test_mass_cancel_goes_by_age_whatever_came_in_between(market: Market) -> None:
    orders = [market.rest(BUY, 2, P - ticks) for ticks in (5, 1, 9, 3)]
    market.cancel(orders.pop(1))
    orders.append(market.rest(SELL, 2, P))
    market.replace(orders[0], 7, P - 1)
    events = market.do(Command(CommandKind.MASS_CANCEL))
    assert [event.order for event in events] == [*sorted(orders), 0]
    assert {event.reason for event in events[:-1]} == {Reason.MASS_CANCEL}
    assert (events[-1].kind, events[-1].quantity, events[-1].index) == (EventKind.MASS_CANCELLED, 4, 4)
    assert market.levels() == ([], [])


@pytest.mark.parametrize(
    ("account", "symbol", "gone"), [(0, 0, 4), (ANA, 0, 2), (BEN, 0, 2), (0, 2, 2), (BEN, 2, 1), (7, 0, 0), (0, 7, 0)]
)
def test_mass_cancel_by_account_and_symbol(market: Market, account: int, symbol: int, gone: int) -> None:
    market.define(2)
    for owner in (ANA, BEN):
        for where in (1, 2):
            market.rest(BUY, 1, P, account=owner, symbol=where)
    events = market.do(Command(CommandKind.MASS_CANCEL, account=account, symbol=symbol))
    assert (events[-1].quantity, events[-1].account, events[-1].symbol) == (gone, account, symbol)
    assert market.engine.live == 4 - gone
    for event in events[:-1]:
        assert account in (0, event.account)
        assert symbol in (0, event.symbol)


def test_live_orders_are_listed_by_account_symbol_and_page(market: Market) -> None:
    market.define(2)
    mine = [market.rest(BUY, 1, P - n, symbol=1 + n % 2) for n in range(6)]
    theirs = market.rest(BUY, 1, P, account=BEN)
    assert market.engine.live_orders() == [*mine, theirs]
    assert market.engine.live_orders(ANA) == mine
    assert market.engine.live_orders(ANA, 2) == mine[1::2]
    assert market.engine.live_orders(after=mine[2], limit=2) == mine[3:5]
    assert market.engine.live_orders(limit=0) == market.engine.live_orders(99) == []


# ---- definitions


def test_definition_is_told_with_all_its_fields(market: Market) -> None:
    (event,) = market.define(2, tick=25, tick_scale=2, lot=1, lot_scale=5, currency=b"USDT", base_ticks=7)
    assert event.kind == EventKind.INSTRUMENT_DEFINED
    assert (event.symbol, event.price, event.quantity, event.leaves) == (2, 25, 1, 7)
    assert (event.side, event.type, event.tif, event.text) == (2, 5, InstrumentState.OPEN, b"SYM2")
    assert event.trade.to_bytes(8, "little") == b"USDT\0\0\0\0"


def test_only_the_state_of_an_instrument_may_change(market: Market) -> None:
    assert kinds(market.define(1, InstrumentState.HALTED)) == [EventKind.INSTRUMENT_DEFINED]
    assert kinds(market.define(1, InstrumentState.HALTED)) == [EventKind.INSTRUMENT_DEFINED]
    before = market.engine.state_hash()
    changes: list[dict[str, Any]] = [
        {"name": b"OTHER"}, {"tick": 2}, {"tick_scale": 3}, {"lot": 2}, {"lot_scale": 1}, {"currency": b"EUR"},
        {"base_ticks": BASE + 1},
    ]  # fmt: skip
    for change in changes:
        assert refusal(market.define(1, **change)) == Reason.BAD_FIELD, change
    market.define(1, InstrumentState.OPEN)
    market.rest(BUY, 1, P)
    assert market.engine.state_hash() != before


BAD_DEFINITIONS: list[dict[str, Any]] = [
    {"symbol": 0}, {"symbol": 3}, {"symbol": 0xFFFFFFFF}, {"state": 0}, {"state": 3}, {"tick": 0}, {"tick": -1},
    {"lot": 0}, {"tick_scale": 19}, {"lot_scale": 255}, {"name": b""}, {"base_ticks": -1},
    {"base_ticks": PRICE_TICKS_MAX + 1},
]  # fmt: skip


@pytest.mark.parametrize("fields", BAD_DEFINITIONS)
def test_bad_definitions_are_refused(market: Market, fields: dict[str, Any]) -> None:
    assert refusal(market.define(**{"symbol": 2, **fields})) == Reason.BAD_FIELD
    assert refusal(market.order(BUY, 1, P, symbol=2)) == Reason.UNKNOWN_SYMBOL


def test_accounts_are_defined_one_after_the_other(market: Market) -> None:
    for account, name in ((0, b"x"), (1, b"ana"), (4, b"x"), (3, b"")):
        events = market.do(Command(CommandKind.DEFINE_ACCOUNT, account=account, text=name))
        assert refusal(events) == Reason.BAD_FIELD
    (event,) = market.do(Command(CommandKind.DEFINE_ACCOUNT, account=3, text=b"carl"))
    assert (event.kind, event.account, event.text) == (EventKind.ACCOUNT_DEFINED, 3, b"carl")
    market.rest(BUY, 1, P, account=3)


def test_hundreds_of_instruments_and_accounts(market: Market) -> None:
    for symbol in range(2, 300):
        market.define(symbol)
    for account in range(3, 300):
        market.do(Command(CommandKind.DEFINE_ACCOUNT, account=account, text=b"account-%d" % account))
    for symbol in range(1, 300):
        market.rest(BUY, symbol, P, symbol=symbol, account=symbol)
    assert market.levels(299) == ([(P, 299, 1)], [])
    assert market.engine.live == 299


def test_state_hash_sees_every_part_of_the_state(implementation: str) -> None:
    seen = set()
    market = Market(implementation)
    for command in (
        Command(CommandKind.HALT),
        Command(CommandKind.RESUME),
        Command(CommandKind.DEFINE_ACCOUNT, account=3, text=b"carl"),
        Command(CommandKind.NEW, 1, 1, 1, 0, 1, 1, P, 5, text=b"a"),
        Command(CommandKind.REPLACE, account=1, price=P, quantity=4, target=7),
        Command(CommandKind.NEW, 2, 1, 1, 0, 1, 1, P, 2, text=b"b"),
        Command(CommandKind.ROLL_CLIENT_IDS),
        Command(CommandKind.MASS_CANCEL),
    ):
        market.do(command)
        seen.add(market.engine.state_hash())
        assert market.engine.state_hash() in seen
    assert len(seen) == 8
