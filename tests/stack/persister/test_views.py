"""The views say of every order, fill and trade what the doors say of it."""

from collections import defaultdict
from decimal import Decimal
from functools import reduce

from psycopg.rows import dict_row

from engine.records import MAKER, Command, CommandKind, Event, EventKind, OrderType, Side, TimeInForce, unpack_events
from stack.gateway.history import _BY_ACCOUNT
from stack.persister.rows import row_of
from stack.schema.__main__ import connect
from stack.settings import Postgres
from stack.wire.order import fold
from tests.stack.persister.engine_peer import EnginePeer, new, trading

DECIMALS = ("price", "quantity", "filled_quantity", "leaves_quantity", "average_price")


def _chains(peer: EnginePeer) -> dict[int, list[Event]]:
    chains = defaultdict(list)
    for event in unpack_events(peer.events):
        if event.order and event.kind != EventKind.REFUSED:
            chains[event.order].append(event)
    return chains


def _as_views_say(order: dict) -> dict:
    return {k: Decimal(v) if k in DECIMALS and v is not None else v for k, v in order.items()}


def test_an_order_reads_the_same_from_the_database_as_from_the_engine(persister, peer: EnginePeer, database: Postgres):
    trading(peer, seed=11, commands=1500, newer=True)
    persister().wait_until_written(peer)
    with connect(database) as connection:
        connection.row_factory = dict_row
        found = {row["order_sequence"]: row for row in connection.execute("SELECT * FROM orders")}
        fills = defaultdict(list)
        for row in connection.execute("SELECT * FROM fills ORDER BY sequence, event_index"):
            fills[row["order_sequence"]].append({k: row[k] for k in ("trade_id", "price", "quantity", "liquidity")})
    statuses = set()
    chains = _chains(peer)
    assert found.keys() == chains.keys()
    for sequence, chain in chains.items():
        order = _as_views_say(fold(chain, 0, peer.tables))
        told = order.pop("fills")
        assert order == {name: found[sequence][name] for name in order}
        assert [{**f, "price": Decimal(f["price"]), "quantity": Decimal(f["quantity"])} for f in told] == fills[
            sequence
        ]
        statuses.add((order["status"], order["reason"]))
    assert {("cancelled", "self_trade"), ("expired", "expired")} <= statuses
    assert {row["time_in_force"] for row in found.values()} == {"GTC", "IOC", "FOK", "DAY", "GTT"}
    assert {row["self_trade"] for row in found.values()} == {None, "cancel_newest", "cancel_oldest", "cancel_both"}
    assert len(statuses) >= 7, f"the stream should show every way an order can end: {statuses}"


def test_trades_have_one_row_per_match_with_the_side_of_the_taker(persister, peer: EnginePeer, database: Postgres):
    trading(peer, seed=12, commands=500)
    persister().wait_until_written(peer)
    takers = [e for e in unpack_events(peer.events) if e.kind == EventKind.FILL and not e.flags & MAKER]
    with connect(database) as connection:
        found = connection.execute(
            "SELECT trade_id, symbol, price, quantity, side, sequence, time_ns FROM trades ORDER BY sequence, event_index"
        ).fetchall()
    tables = peer.tables
    assert found == [
        (
            f"0-{e.trade}", tables.instruments[e.symbol].symbol, Decimal(tables.instruments[e.symbol].tick.text(e.price)),
            Decimal(e.quantity), "buy" if e.side == Side.BUY else "sell", e.sequence, e.time_ns,
        )
        for e in takers
    ]  # fmt: skip


def test_order_events_finds_a_chain_across_days_and_stops_where_it_closed(
    persister, peer: EnginePeer, database: Postgres
):
    first = peer.apply(new("long", Side.BUY, 100, 10))[0].sequence
    peer.time_ns += 3 * 86_400_000_000_000
    trading(peer, seed=13, commands=100)
    peer.apply(Command(CommandKind.CANCEL, target=first))
    trading(peer, seed=14, commands=100, prefix="b")
    persister().wait_until_written(peer)
    columns = "sequence, order_sequence, time_ns, price, quantity, leaves, trade, partition, event_index, account, symbol, kind"
    with connect(database) as connection:
        for order, chain in _chains(peer).items():
            found = connection.execute(f"SELECT {columns} FROM order_events(0, %s)", (order,)).fetchall()
            assert found == [row_of(0, event)[:12] for event in chain]
        assert connection.execute("SELECT count(*) FROM order_events(0, 1)").fetchone() == (0,)


def test_an_order_of_today_is_found_along_the_key(persister, peer: EnginePeer, database: Postgres):
    trading(peer, seed=15, commands=3000)
    persister().wait_until_written(peer)
    with connect(database) as connection:
        connection.execute("ANALYZE events")
        plan = connection.execute(
            "EXPLAIN SELECT * FROM orders WHERE partition = 0 AND order_sequence = 2900"
        ).fetchall()
    text = "\n".join(line[0] for line in plan)
    assert "Index Cond: ((partition = 0) AND (sequence = 2900))" in text
    assert "sequence >= a.sequence" in text


def test_a_market_order_has_no_price(persister, peer: EnginePeer, database: Postgres):
    peer.apply(new("rest", Side.SELL, 100, 5))
    market = peer.apply(new("market", Side.BUY, 0, 8, type=OrderType.MARKET, tif=TimeInForce.IOC))[0].sequence
    persister().wait_until_written(peer)
    with connect(database) as connection:
        row = connection.execute(
            "SELECT price, average_price, status, reason, leaves_quantity FROM orders WHERE order_sequence = %s",
            (market,),
        ).fetchone()
    assert row == (None, Decimal("1"), "cancelled", "unfilled_rest", 0)


def test_orders_of_an_account_are_found_from_a_time_on(persister, peer: EnginePeer, database: Postgres):
    trading(peer, seed=16, commands=3000)
    persister().wait_until_written(peer)
    events = unpack_events(peer.events)
    accepted = [e for e in events if e.kind == EventKind.ACCEPTED and e.account == 1]
    with connect(database) as connection:
        for since in (0, events[0].time_ns, accepted[700].time_ns, accepted[700].time_ns + 1, events[-1].time_ns + 1):
            (low,) = connection.execute("SELECT sequence_since(0, %s)", (since,)).fetchone()
            assert [e for e in events if e.sequence >= low and e.time_ns >= since] == [
                e for e in events if e.time_ns >= since
            ]
            day = since // 86_400_000_000_000
            assert not [
                e for e in events if e.sequence >= low and e.time_ns < since and e.time_ns // 86_400_000_000_000 == day
            ]
        names = {"$1": "0", "$2": "'alice'", "$3": "0", "$4": str(accepted[700].time_ns), "$5": "5"}
        statement = reduce(lambda text, name: text.replace(name, names[name]), names, _BY_ACCOUNT)
        assert [row[0] for row in connection.execute(statement)] == [e.sequence for e in accepted[700:705]]
