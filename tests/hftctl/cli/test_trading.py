"""order and book at the public door: what is sent, and which exit code each answer means."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.hftctl.cli.conftest import ORDER, Door, Files, Hftctl

PLACE = ("order", "place", "AAPL", "buy", "10", "189.50", "--client-order-id", "a-1")


def test_place_sends_the_order_as_it_was_typed(door: Door, hftctl_: Hftctl) -> None:
    door.answers["POST /orders"] = (201, ORDER)
    document = hftctl_(*PLACE, "--yes", "-o", "json").document("Order")
    assert (document["order"], document["placed"]) == (ORDER, True)
    assert door.asked == [
        (
            "POST",
            "/orders",
            {
                "client_order_id": "a-1",
                "account": "demo",
                "symbol": "AAPL",
                "side": "buy",
                "type": "limit",
                "price": "189.50",
                "quantity": "10",
                "time_in_force": "GTC",
                "post_only": False,
            },
            None,
        )
    ]


def test_without_a_price_it_is_a_market_order(door: Door, hftctl_: Hftctl) -> None:
    door.answers["POST /orders"] = (201, ORDER)
    hftctl_("order", "place", "AAPL", "SELL", "1", "--yes")
    sent = door.asked[0][2]
    assert (sent["type"], sent["time_in_force"], sent["side"], "price" in sent) == ("market", "IOC", "sell", False)
    assert sent["client_order_id"].startswith("cli-")


@pytest.mark.parametrize(
    ("when", "due_ns"),
    [
        ("2030-01-31T16:00:00Z", 1_896_105_600 * 10**9),
        ("2030-01-31T17:00:00.000001+01:00", 1_896_105_600 * 10**9 + 1000),
    ],
)
def test_self_trade_and_expiry_are_said_as_the_door_takes_them(
    door: Door, hftctl_: Hftctl, when: str, due_ns: int
) -> None:
    hftctl_(*PLACE, "--yes", "--expires", when, "--self-trade", "both")
    sent = door.asked[0][2]
    assert (sent["time_in_force"], sent["expires_ns"], sent["self_trade"]) == ("GTT", due_ns, "cancel_both")
    hftctl_(*PLACE, "--yes", "--tif", "gtt", "--expires", "90s")
    assert 60 * 10**9 < door.asked[1][2]["expires_ns"] - time.time_ns() <= 90 * 10**9


@pytest.mark.parametrize("when", ["tomorrow", "2030-01-31T16:00:00", ""])
def test_a_time_that_is_none_is_told_before_anything_is_sent(door: Door, hftctl_: Hftctl, when: str) -> None:
    ended = hftctl_(*PLACE, "--yes", "--expires", when)
    assert (ended.code, door.asked) == (2, [])
    assert f"--expires '{when}' is neither" in ended.err


def test_nothing_is_sent_without_a_yes_or_on_a_dry_run(door: Door, hftctl_: Hftctl) -> None:
    assert hftctl_(*PLACE).code == 2
    assert hftctl_(*PLACE, "--dry-run", "-o", "json").document("Order")["placed"] is False
    assert door.asked == []


@pytest.mark.parametrize(
    ("status", "answer", "code"),
    [
        (422, {"code": "bad_price", "message": "0.001 is off tick", "field": "price"}, 7),
        (409, {"code": "duplicate_client_order_id", "message": "other body"}, 7),
        (429, {"code": "busy", "message": "wait"}, 7),
        (503, {"code": "halted", "message": "halted"}, 7),
        (404, {"code": "no_such_order", "message": "unknown"}, 13),
        (401, {"code": "unauthorized", "message": "no key"}, 13),
        (504, {"code": "outcome_unknown", "message": "lost", "outcome": "unknown"}, 8),
        (0, None, 8),
        (500, {"code": "internal", "message": "bug"}, 1),
    ],
)
def test_each_answer_has_its_exit_code(door: Door, hftctl_: Hftctl, status: int, answer: Any, code: int) -> None:
    door.answers["POST /orders"] = (status, answer)
    ended = hftctl_(*PLACE, "--yes")
    assert ended.code == code, ended.err
    if answer:
        assert answer["message"] in ended.err


def test_nobody_at_the_door_is_not_found_and_nothing_is_unknown(
    door: Door, hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Files, "door", "http://127.0.0.1:1")
    ended = hftctl_(*PLACE, "--yes")
    assert ended.code == 13
    assert ended.err.splitlines()[-1] == "hint: hftctl status -p local"


def test_the_key_of_the_caller_goes_before_the_operators(
    door: Door, hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.answers["GET /orders/0-7"] = (200, ORDER)
    monkeypatch.setattr(Files, "key", "operator")
    hftctl_("order", "show", "0-7")
    monkeypatch.setenv("HFTCTL_API_KEY", "mine")
    hftctl_("order", "show", "0-7")
    assert [asked[3] for asked in door.asked] == ["Bearer operator", "Bearer mine"]


def test_show_and_cancel(door: Door, hftctl_: Hftctl) -> None:
    door.answers["GET /orders/0-7"] = (200, ORDER)
    door.answers["DELETE /orders/0-7"] = (200, {**ORDER, "status": "cancelled"})
    door.answers["GET /orders"] = (200, {"orders": [ORDER]})
    assert "0-7 filled" in hftctl_("order", "show", "0-7").out
    assert "fill 0-1: 1 at 100 as taker" in hftctl_("order", "show", "--client-order-id", "x").out
    assert door.asked[-1][1] == "/orders?client_order_id=x&account=demo"
    assert hftctl_("order", "cancel", "0-7", "--yes", "-o", "json").document("Order")["order"]["status"] == "cancelled"
    door.answers["GET /orders"] = (200, {"orders": []})
    assert hftctl_("order", "show", "--client-order-id", "y").code == 13
    assert hftctl_("order", "show", "../halt").code == 2
    assert hftctl_("order", "show").code == 2


def test_book_shows_both_sides_best_first(door: Door, hftctl_: Hftctl) -> None:
    level = {"price": "10.01", "quantity": "5", "orders": 2}
    door.answers["GET /book/AAPL"] = (200, {"symbol": "AAPL", "sequence": 9, "bids": [level], "asks": []})
    ended = hftctl_("book", "AAPL", "--depth", "5")
    assert ended.out.splitlines()[0] == "AAPL as of sequence 9"
    assert ended.out.splitlines()[2].split() == ["2", "5", "10.01"]
    assert door.asked[-1][1] == "/book/AAPL?depth=5"
    assert hftctl_("book", "AAPL", "-o", "json").document("Book")["bids"] == [level]
    assert hftctl_("book", "../x").code == 2


@pytest.mark.parametrize("words", [("load",), ("replay", "day.gz")])
def test_made_up_traffic_refuses_production_unless_it_is_named(
    target: type[Files], hftctl_: Hftctl, words: tuple[str, ...], tmp_path: Any
) -> None:
    (tmp_path / "day.gz").write_bytes(b"")
    hftctl_("deploy", "--environment", "production", "--yes")
    ended = hftctl_(*words)
    assert ended.code == 7
    assert ended.err.splitlines()[-1] == "hint: if you do mean it: --i-mean local"
    assert hftctl_(*words, "--i-mean", "other").code == 7
