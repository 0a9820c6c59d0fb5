"""DAY and GTT: when they end, who goes in which order, and that nothing ends by itself. On both books."""

from __future__ import annotations

import struct
from typing import Any

import pytest

import engine
from engine.records import DAY_NS, EXPIRES_NS_MAX, POST_ONLY, Command, CommandKind, EventKind, Reason, TimeInForce
from tests.engine.market import ANA, BASE, BEN, BUY, SELL, Market, fills, kinds, refusal

DAY, GTT = TimeInForce.DAY, TimeInForce.GTT
EXPIRE = Command(CommandKind.EXPIRE)


@pytest.fixture
def market(market: Market) -> Market:
    for rules in (2, 3):
        market.do(Command(CommandKind.ADOPT_RULES, quantity=rules))
    return market


def expired(market: Market, at_ns: int) -> list[int]:
    """What an EXPIRE at that time cancels."""
    market.time_ns = at_ns - 1
    *gone, last = market.do(EXPIRE)
    assert (last.kind, last.quantity, last.order) == (EventKind.ORDERS_EXPIRED, len(gone), 0)
    assert {(one.kind, one.reason, one.leaves) for one in gone} <= {(EventKind.CANCELLED, Reason.EXPIRED, 0)}
    return [one.order for one in gone]


def test_a_gtt_ends_at_its_time_and_not_before(market: Market) -> None:
    order = market.rest(BUY, 5, BASE, tif=GTT, extra=10_000)
    assert market.events[-1].trade == market.engine.next_expiry == 10_000
    assert expired(market, 9_999) == []
    assert expired(market, 10_000) == [order]
    assert (market.engine.live, market.engine.next_expiry, market.levels()) == (0, 0, ([], []))


@pytest.mark.parametrize("at", [5_000, 3 * DAY_NS - 50, 3 * DAY_NS])
def test_a_day_order_ends_with_the_utc_day_that_brought_it(market: Market, at: int) -> None:
    market.time_ns = at
    market.rest(SELL, 5, BASE, tif=DAY)
    ends = (at // DAY_NS + 1) * DAY_NS
    assert market.engine.next_expiry == ends
    assert expired(market, ends - 1) == []
    assert len(expired(market, ends)) == 1


def test_they_go_by_time_and_then_by_age(market: Market) -> None:
    times = [50_000, 30_000, 50_000, 20_000, 90_000, 30_000]
    orders = [market.rest(BUY, 1, BASE - n, tif=GTT, extra=at) for n, at in enumerate(times)]
    market.rest(BUY, 1, BASE)
    assert expired(market, 50_000) == [orders[n] for n in (3, 1, 5, 0, 2)]
    assert market.engine.next_expiry == 90_000


def test_nothing_ends_by_itself(market: Market) -> None:
    order = market.rest(SELL, 5, BASE, tif=GTT, extra=10_000, account=BEN)
    market.time_ns = 20_000
    assert fills(market.order(BUY, 5, BASE)) == [(order, BASE, 5)]
    assert expired(market, 30_000) == []


def test_what_is_gone_before_does_not_end_again(market: Market) -> None:
    orders = [market.rest(BUY, 2, BASE - n, tif=GTT, extra=20_000 - n) for n in range(9)]
    market.cancel(orders[4])
    market.order(SELL, 2, BASE)
    market.do(Command(CommandKind.MASS_CANCEL, account=BEN))
    market.replace(orders[8], 2, BASE - 7)
    assert market.engine.next_expiry == 20_000 - 8
    market.engine.check_invariants()
    assert expired(market, 30_000) == [orders[n] for n in (8, 7, 6, 5, 3, 2, 1)]


def test_a_replace_keeps_the_time_also_where_it_fills(market: Market) -> None:
    order = market.rest(BUY, 5, BASE - 5, tif=GTT, extra=20_000)
    market.rest(SELL, 3, BASE)
    market.replace(order, 7, BASE)
    assert market.engine.next_expiry == 20_000
    market.rest(SELL, 9, BASE + 1)
    market.replace(order, 8, BASE + 1)
    assert market.engine.next_expiry == 0


@pytest.mark.parametrize("extra", [0, 1, EXPIRES_NS_MAX + 1, (1 << 64) - 1])
def test_a_time_that_is_past_or_beyond_numbers_is_refused(market: Market, extra: int) -> None:
    assert refusal(market.order(BUY, 5, BASE, tif=GTT, extra=extra)) == Reason.BAD_EXPIRY
    now = market.time_ns + 1
    assert refusal(market.order(BUY, 5, BASE, tif=GTT, extra=now)) == Reason.BAD_EXPIRY
    assert kinds(market.order(BUY, 5, BASE, tif=GTT, extra=EXPIRES_NS_MAX)) == [EventKind.ACCEPTED]


@pytest.mark.parametrize("tif", [DAY, GTT])
def test_they_rest_like_gtc(market: Market, tif: int) -> None:
    market.rest(SELL, 5, BASE)
    assert refusal(market.order(BUY, 5, tif=tif, extra=9_000)) == Reason.BAD_FIELD  # a market order
    assert refusal(market.order(BUY, 5, BASE, tif=tif, extra=9_000, flags=POST_ONLY)) == Reason.POST_ONLY_WOULD_CROSS
    assert market.rest(BUY, 5, BASE - 1, tif=tif, extra=9_000, flags=POST_ONLY)
    assert fills(market.order(BUY, 7, BASE, tif=tif, extra=9_000)) == [(5 + 1, BASE, 5)]
    assert market.levels()[0] == [(BASE, 2, 1), (BASE - 1, 5, 1)]
    full = Market(market.engine.implementation, max_live_orders=1)
    for rules in (2, 3):
        full.do(Command(CommandKind.ADOPT_RULES, quantity=rules))
    full.rest(BUY, 1, BASE)
    assert refusal(full.order(BUY, 1, BASE, tif=tif, extra=9_000)) == Reason.BOOK_FULL


def test_expiry_works_while_halted(market: Market) -> None:
    order = market.rest(BUY, 5, BASE, tif=DAY)
    market.do(Command(CommandKind.HALT, text=b"test"))
    assert expired(market, DAY_NS) == [order]


def test_another_time_is_another_order_to_the_client_id(market: Market) -> None:
    command = Command(CommandKind.NEW, BUY, 1, GTT, 0, ANA, 1, BASE, 1, extra=99_999, text=b"once")
    market.do(command)
    assert market.engine.find(command.pack()) > 0
    assert market.engine.find(command._replace(extra=99_998).pack()) < 0
    day = command._replace(tif=DAY, text=b"day")
    market.do(day)
    assert market.engine.find(day._replace(extra=7).pack()) > 0, "a DAY order says no time"


def test_before_rules_3_there_are_none(implementation: str) -> None:
    market = Market(implementation)
    market.do(Command(CommandKind.ADOPT_RULES, quantity=2))
    assert refusal(market.order(BUY, 5, BASE, tif=DAY)) == Reason.BAD_FIELD
    assert refusal(market.order(BUY, 5, BASE, tif=GTT, extra=9_000)) == Reason.BAD_FIELD
    assert refusal(market.do(EXPIRE)) == Reason.BAD_FIELD


@pytest.mark.skipif(bool(engine.implementations()["cython"]), reason="the compiled engine is not built")
def test_a_snapshot_that_says_another_end_is_refused_or_another_state() -> None:
    market = Market("cython", max_live_orders=50)
    for rules in (2, 3):
        market.do(Command(CommandKind.ADOPT_RULES, quantity=rules))
    for n in range(9):
        market.rest(BUY, 1, BASE - n, tif=GTT if n % 2 else DAY, extra=50_000 - n)
    market.rest(BUY, 1, BASE)
    pieces: list[tuple[int, bytes]] = []
    book: Any = market.engine
    book.dump(lambda kind, piece: pieces.append((kind, piece)))
    [at] = [place for place, (kind, _) in enumerate(pieces) if kind == 7]

    def restored(expiries: bytes) -> int:
        again: Any = engine.create("cython", max_live_orders=50, client_ids_max=5000, faulted_in=False)
        for kind, piece in [*pieces[:at], (7, expiries), *pieces[at + 1 :]]:
            again.restore(kind, piece)
        again.finish_restore()
        again.check_invariants()
        return int(again.state_hash())

    whole = pieces[at][1]
    assert restored(whole) == book.state_hash()
    assert restored(whole[16:] + whole[:16]) == book.state_hash(), "however they come"
    later = struct.pack("<Q", int.from_bytes(whole[8:16], "little") + 1)
    assert restored(whole[:8] + later + whole[16:]) != book.state_hash()
    plain = struct.pack("<QQ", 10, 77_777)
    for wrong in (
        whole[16:],
        b"",
        whole + whole[:16],
        whole[:-16] + plain,
        plain[:8] + whole[8:],
        bytes(8) + whole[8:],
    ):
        with pytest.raises(ValueError, match=r"to end|clock"):
            restored(wrong)
    far = struct.pack("<Q", 1 << 40) + whole[8:]
    with pytest.raises(ValueError, match="cannot be"):
        restored(far)
