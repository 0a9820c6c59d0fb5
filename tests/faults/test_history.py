"""The checker is itself checked: forged histories must be caught, tricky honest ones must pass."""

from dataclasses import replace

import pytest

from engine.records import MAKER, Event, EventKind, Reason, Side
from tests.faults.history import Op, Operation, Result, Truth, check, result_of

DEFINITIONS = [
    Event(1, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0, EventKind.INSTRUMENT_DEFINED, text=b"AAPL"),
    Event(2, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, EventKind.ACCOUNT_DEFINED, text=b"alice"),
]


def event(sequence, kind, order, **fields):
    values = {
        "sequence": sequence, "order": order, "time_ns": sequence, "previous": 0, "price": 100, "quantity": 0, "leaves": 0, "trade": 0,
        "account": 1, "symbol": 1, "index": 0, "kind": kind, "side": Side.BUY,
    }  # fmt: skip
    return Event(**(values | fields))


MAKER_ACCEPTED = event(3, EventKind.ACCEPTED, 3, quantity=5, leaves=5, text=b"a")
TAKER_ACCEPTED = event(4, EventKind.ACCEPTED, 4, quantity=3, leaves=3, side=Side.SELL, text=b"b")
MAKER_FILL = event(4, EventKind.FILL, 3, quantity=3, leaves=2, trade=1, flags=MAKER, index=1)
TAKER_FILL = event(4, EventKind.FILL, 4, quantity=3, leaves=0, trade=1, side=Side.SELL, index=2)
CANCELLED = event(5, EventKind.CANCELLED, 3, quantity=2, leaves=0, reason=Reason.BY_CLIENT)
EVENTS = [*DEFINITIONS, MAKER_ACCEPTED, TAKER_ACCEPTED, MAKER_FILL, TAKER_FILL, CANCELLED]


def place(name, order_id, invoked, completed, result=Result.OK, status=201):
    return Operation(Op.PLACE, name, "alice", "AAPL", invoked, completed, result, status, order_id=order_id)


HISTORY = [
    place("a", "0-3", 10, 20),
    place("b", "0-4", 30, 40),
    Operation(Op.CANCEL, "a", "alice", "AAPL", 50, 60, Result.OK, 200, order_id="0-3"),
]


def verdict(history=HISTORY, events=EVENTS, **rest):
    return check(history, Truth.of(0, events), **rest)


def test_an_honest_history_is_valid():
    assert verdict().name == "valid"


def test_a_request_without_reply_may_have_happened_or_not():
    assert verdict([replace(HISTORY[0], result=Result.UNKNOWN, completed_ns=None), *HISTORY[1:]]).name == "valid"
    assert verdict([*HISTORY, place("c", "", 70, None, Result.UNKNOWN, 0)]).name == "valid"


def test_a_retry_that_is_answered_with_the_original_is_valid():
    assert verdict([*HISTORY, place("a", "0-3", 70, 80, status=200)]).name == "valid"


def test_a_lost_reply_then_a_refusal_is_valid_because_the_first_may_stand():
    attempts = [place("a", "", 10, None, Result.UNKNOWN, 0), place("a", "", 12, 14, Result.FAILED, 429)]
    assert verdict([*attempts, *HISTORY[1:]]).name == "valid"


def test_what_could_not_be_read_makes_it_unknown():
    assert verdict(incomplete=["PostgreSQL"]).name == "unknown"


FORGED = {
    "acknowledged order lost": ([*HISTORY, place("c", "0-6", 70, 80)], EVENTS),
    "clients told another order id": ([place("a", "0-9", 10, 20), *HISTORY[1:]], EVENTS),
    "two order ids for one client id": ([*HISTORY, place("a", "0-4", 70, 80)], EVENTS),
    "refused but stands": ([place("a", "", 10, 20, Result.FAILED, 422), *HISTORY[1:]], EVENTS),
    "an order nobody sent": (HISTORY[1:2], EVENTS),
    "acknowledged cancel lost": (HISTORY, EVENTS[:-1]),
    "answered before but sequenced after": ([place("a", "0-3", 50, 60), place("b", "0-4", 10, 20), HISTORY[2]], EVENTS),
    "sequence gap": (HISTORY, [*EVENTS[:-1], CANCELLED._replace(sequence=6)]),
    "event index gap": (HISTORY, [*EVENTS[:-2], TAKER_FILL._replace(index=3), CANCELLED]),
    "time goes back": (HISTORY, [*EVENTS[:-1], CANCELLED._replace(time_ns=1)]),
    "accepted twice": (HISTORY, [*EVENTS, event(6, EventKind.ACCEPTED, 6, quantity=5, leaves=5, text=b"a")]),
    "fill after cancel": (
        HISTORY,
        [*EVENTS, event(6, EventKind.FILL, 3, quantity=1, trade=2, flags=MAKER), event(6, EventKind.FILL, 4, index=1)],
    ),
    "one-sided trade": (HISTORY, [*EVENTS[:4], MAKER_FILL, CANCELLED]),
    "sides disagree on price": (HISTORY, [*EVENTS[:5], TAKER_FILL._replace(price=101), CANCELLED]),
    "both sides buy": (HISTORY, [*EVENTS[:5], TAKER_FILL._replace(side=Side.BUY), CANCELLED]),
    "nobody is the maker": (HISTORY, [*EVENTS[:4], MAKER_FILL._replace(flags=0), TAKER_FILL, CANCELLED]),
    "quantity is not conserved": (HISTORY, [*EVENTS[:-1], CANCELLED._replace(quantity=1)]),
    "trade numbers have gaps": (
        HISTORY,
        [*EVENTS[:4], MAKER_FILL._replace(trade=2), TAKER_FILL._replace(trade=2), CANCELLED],
    ),
    "chain begins in the middle": (HISTORY[1:2], [*DEFINITIONS, *EVENTS[3:]]),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_history_is_caught(name):
    history, events = FORGED[name]
    assert verdict(history, events).name == "invalid"


@pytest.mark.parametrize(
    ("status", "response", "expected"),
    [
        (201, {}, Result.OK),
        (200, {}, Result.OK),
        (422, {}, Result.FAILED),
        (429, {}, Result.FAILED),
        (503, {"code": "halted"}, Result.FAILED),
        (504, {"outcome": "unknown"}, Result.UNKNOWN),
        (502, {}, Result.UNKNOWN),
        (0, {}, Result.UNKNOWN),
    ],
)
def test_what_a_status_claims(status, response, expected):
    assert result_of(status, response) is expected
