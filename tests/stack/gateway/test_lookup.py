"""Orders looked up and listed: live ones of a real engine, past ones of a real PostgreSQL."""

import asyncio
import json
import types
from collections.abc import Callable
from time import sleep

import pytest
import redis

from stack.gateway import listing
from stack.gateway.chains import PIECE_EVENTS
from stack.gateway.errors import ApiError
from stack.settings import Postgres, Redis
from tests.stack.gateway import past
from tests.stack.gateway.processes import Client

NewId = Callable[[], str]
PAST = 30


@pytest.fixture(scope="module", autouse=True)
def _past(shared_database: Postgres) -> None:
    past.write(shared_database, PAST)


def test_by_id_the_engine_knows_open_and_closed_orders(client: Client, new_id: NewId) -> None:
    _, placed = client.place(client_order_id=new_id())
    path = f"/orders/{placed['order_id']}"
    assert client.call("GET", path) == (200, placed)
    closed = client.call("DELETE", path)
    assert client.call("GET", path) == closed


def test_by_id_postgresql_knows_the_past(client: Client) -> None:
    status, order = client.call("GET", f"/orders/0-{past.FIRST}")
    assert status == 200
    assert order == {
        "order_id": f"0-{past.FIRST}", "client_order_id": "past-0", "account": "alice", "symbol": "AAPL", "side": "buy",
        "type": "limit", "time_in_force": "GTC", "post_only": False, "self_trade": None, "expires_ns": None, "price": "190",
        "quantity": "10", "filled_quantity": "10", "leaves_quantity": "0", "average_price": "189.994", "status": "filled", "reason": None,
        "sequence": past.FIRST + 2, "created_ns": past.DAY_NS, "updated_ns": past.DAY_NS + 2,
        "fills": [
            {"trade_id": "0-1000000", "price": "190", "quantity": "4", "liquidity": "maker"},
            {"trade_id": "0-1000001", "price": "189.99", "quantity": "6", "liquidity": "taker"},
        ],
    }  # fmt: skip


def test_health_says_how_far_postgresql_is(client: Client) -> None:
    _, health = client.call("GET", "/health")
    (persister,) = (c for c in health["components"] if c["component"] == "persister-0")
    assert persister["message"].endswith(f"up to sequence {past.FIRST + 10 * PAST}, 0 commands behind the engine")


def test_a_past_order_has_the_members_of_a_live_one(client: Client, new_id: NewId) -> None:
    _, live = client.place(client_order_id=new_id())
    _, old = client.call("GET", f"/orders/0-{past.FIRST}")
    assert set(live) == set(old)


def test_past_orders_are_closed_for_cancels_and_replaces(client: Client) -> None:
    assert client.call("DELETE", f"/orders/0-{past.FIRST}")[1]["code"] == "order_closed"
    status, order = client.call("DELETE", f"/orders/0-{past.FIRST + 10}")
    assert (status, order["status"]) == (200, "cancelled")
    replace = {"request_id": "r-past", "price": "1", "quantity": "1"}
    assert client.call("PATCH", f"/orders/0-{past.FIRST}", replace)[1]["code"] == "order_closed"


def test_by_client_order_id_in_the_engine_and_in_the_past(client: Client, new_id: NewId) -> None:
    name = new_id()
    placed = [client.place(client_order_id=name, symbol=symbol)[1] for symbol in ("AAPL", "MSFT")]
    assert client.call("GET", f"/orders?account=alice&client_order_id={name}")[1] == {"orders": placed, "cursor": None}
    assert client.call("GET", f"/orders?account=bob&client_order_id={name}")[1]["orders"] == []
    (old,) = client.call("GET", "/orders?account=alice&client_order_id=past-3")[1]["orders"]
    assert old["order_id"] == f"0-{past.FIRST + 30}"


def test_pages_of_a_list_have_each_order_once(client: Client, new_id: NewId) -> None:
    """The past here has higher sequences than the engine's orders, which no real one has: each is listed by itself."""
    assert _pages(client, "account=alice") == [f"0-{past.FIRST + 10 * number}" for number in range(PAST)]
    placed = [client.place(client_order_id=new_id(), price=str(100 + n))[1] for n in range(12)]
    client.call("DELETE", f"/orders/{placed[3]['order_id']}")
    ids = [order["order_id"] for order in placed]
    assert _pages(client, f"account=alice&since={placed[0]['created_ns']}") == ids
    assert _pages(client, "account=alice&live=true") == ids[:3] + ids[4:]


def _pages(client: Client, query: str) -> list[str]:
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        after = f"&cursor={cursor}" if cursor else ""
        status, page = client.call("GET", f"/orders?{query}&limit=5{after}")
        assert status == 200 and len(page["orders"]) <= 5
        seen += [order["order_id"] for order in page["orders"]]
        cursor = page["cursor"]
        pages += 1
    assert pages == -(-len(seen) // 5)
    return seen


def test_orders_with_long_chains_are_read_in_pieces(client: Client, new_id: NewId) -> None:
    """More fills than the engine reads in one go, in one order and over the orders of a list."""
    fills = PIECE_EVENTS + 10
    _, maker = client.place(client_order_id=new_id(), price="180", quantity=str(fills + 1))
    takers = [
        client.place(client_order_id=new_id(), account="bob", side="sell", price="180", quantity="1")[1]
        for _ in range(fills)
    ]
    _, found = client.call("GET", f"/orders/{maker['order_id']}")
    assert (found["filled_quantity"], found["leaves_quantity"]) == (str(fills), "1")
    assert [fill["trade_id"] for fill in found["fills"]] == [taker["fills"][0]["trade_id"] for taker in takers]
    for query in (f"since={maker['created_ns']}", "live=true"):
        _, page = client.call("GET", f"/orders?account=alice&limit=1000&{query}")
        assert page["orders"] == [found]
    _, page = client.call("GET", f"/orders?account=bob&limit=1000&since={takers[0]['created_ns']}")
    assert page["orders"] == takers


def test_an_order_that_closed_before_postgresql_heard_of_it_is_listed(client: Client, new_id: NewId) -> None:
    """No persister runs here: PostgreSQL has nothing of what this engine did."""
    _, first = client.place(client_order_id=new_id())
    since = first["created_ns"]
    _, filled = client.place(client_order_id=new_id(), account="bob", side="sell")
    _, cancelled = client.place(client_order_id=new_id(), side="buy", price="1")
    client.call("DELETE", f"/orders/{cancelled['order_id']}")
    _, page = client.call("GET", f"/orders?account=alice&since={since}")
    assert [(order["order_id"], order["status"]) for order in page["orders"]] == [
        (first["order_id"], "filled"),
        (cancelled["order_id"], "cancelled"),
    ]
    assert page["orders"][0] == client.call("GET", f"/orders/{first['order_id']}")[1]
    _, page = client.call("GET", f"/orders?account=bob&since={since}")
    assert [(order["order_id"], order["status"]) for order in page["orders"]] == [(filled["order_id"], "filled")]


def test_an_order_that_history_knows_as_open_is_listed_as_it_is_now(
    client: Client, new_id: NewId, shared_database: Postgres
) -> None:
    """As when the persister is stopped between an order's two events."""
    _, placed = client.place(client_order_id=new_id())
    with past.held_open(shared_database, placed):
        client.call("DELETE", f"/orders/{placed['order_id']}")
        _, page = client.call("GET", f"/orders?account=alice&since={placed['created_ns']}")
        assert [(order["order_id"], order["status"]) for order in page["orders"]] == [(placed["order_id"], "cancelled")]


def test_since_leaves_out_what_is_older(client: Client, new_id: NewId) -> None:
    _, placed = client.place(client_order_id=new_id())
    _, page = client.call("GET", f"/orders?account=alice&since={placed['created_ns']}")
    assert [order["order_id"] for order in page["orders"]] == [placed["order_id"]]
    client.call("DELETE", f"/orders/{placed['order_id']}")
    _, page = client.call("GET", f"/orders?account=alice&since={past.DAY_NS + (PAST - 2) * 10**9}")
    names = [order["client_order_id"] for order in page["orders"]]
    assert [name for name in names if name.startswith("past-")] == ["past-28", "past-29"]


def test_live_orders_are_the_open_ones(client: Client, new_id: NewId) -> None:
    _, placed = client.place(client_order_id=new_id())
    _, page = client.call("GET", "/orders?account=alice&live=true")
    assert page == {"orders": [placed], "cursor": None}


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("", "missing_field", "account"),
        ("account=alice&limit=0", "bad_value", "limit"),
        ("account=alice&limit=1001", "bad_value", "limit"),
        ("account=alice&limit=x", "bad_value", "limit"),
        ("account=alice&since=-1", "bad_value", "since"),
        ("account=alice&since=1.5", "bad_value", "since"),
        ("account=alice&since=9223372036854775808", "bad_value", "since"),
        ("account=alice&cursor=zzz", "bad_value", "cursor"),
        ("account=alice&cursor=eyI5IjoxfQ==", "bad_value", "cursor"),
        ("account=alice&client_order_id=%20", "bad_value", "client_order_id"),
        ("account=alice&client_order_id=a&since=1", "not_allowed", "since"),
        ("account=alice&limt=5", "unknown_field", "limt"),
        ("account=alice&limit=5&limit=6", "duplicate_key", "limit"),
    ],
)
def test_a_bad_question_names_its_parameter(client: Client, query: str, code: str, field: str) -> None:
    status, error = client.call("GET", f"/orders?{query}")
    assert (status, error["code"], error["field"]) == (422, code, field)


def test_instruments_are_listed_without_the_ones_of_proofs(client: Client) -> None:
    status, listed = client.call("GET", "/instruments")
    assert status == 200
    assert [(i["symbol"], i["tick_size"], i["lot_size"], i["currency"], i["state"]) for i in listed["instruments"]] == [
        ("AAPL", "0.01", "1", "USD", "open"),
        ("BTCUSDT", "0.01", "0.00001", "USDT", "open"),
        ("MSFT", "0.01", "1", "USD", "open"),
        ("NVDA", "0.01", "1", "USD", "halted"),
    ]
    assert client.call("GET", "/book/PROOF.0")[0] == 200


def test_the_book_adds_up_levels(client: Client, new_id: NewId) -> None:
    for price in ("190.25", "190.25", "190.1", "189"):
        client.place(client_order_id=new_id(), price=price)
    client.place(client_order_id=new_id(), side="sell", account="bob", price="191", quantity="7")
    status, book = client.call("GET", "/book/AAPL?depth=2")
    assert status == 200
    assert book["bids"] == [
        {"price": "190.25", "quantity": "20", "orders": 2},
        {"price": "190.1", "quantity": "10", "orders": 1},
    ]
    assert book["asks"] == [{"price": "191", "quantity": "7", "orders": 1}]
    _, debug = client.call("GET", "/debug/orderbook/AAPL?limit=3")
    assert debug["sequence"] == book["sequence"] and len(debug["orders"]) == 3
    _, rest = client.call("GET", f"/debug/orderbook/AAPL?cursor={debug['cursor']}")
    assert len(rest["orders"]) == 2 and rest["cursor"] is None


@pytest.mark.parametrize("path", ["/book/ZZZZ", "/trades/ZZZZ", "/debug/orderbook/ZZZZ", "/book/PROOF.1", "/book/aapl"])
def test_a_symbol_that_is_none_is_404(client: Client, path: str) -> None:
    status, error = client.call("GET", path)
    assert (status, error["code"], error["field"]) == (404, "no_such_symbol", "symbol")


def test_trades_come_from_the_cache_while_it_fills_the_answer(client: Client, shared_redis: Redis) -> None:
    with redis.Redis(port=shared_redis.port) as valkey:
        valkey.delete("trades:AAPL")  # of another folder's tests: they share this Valkey
    _, trades = client.call("GET", "/trades/AAPL?limit=2")
    last = 10**6 + 2 * (PAST - 2) + 1
    assert [trade["trade_id"] for trade in trades["trades"]] == [f"0-{last}", f"0-{last - 4}"]
    cached = {"trade_id": "0-77", "price": "1.5", "quantity": "2", "side": "buy", "time_ns": 1, "sequence": 2}
    with redis.Redis(port=shared_redis.port) as valkey:
        valkey.lpush("trades:AAPL", json.dumps(cached))
        try:
            wanted = {"symbol": "AAPL", "trades": [cached]}
            # Valkey is given a quarter of a second, and after that is left alone for one: a busy machine may need more than that.
            assert any(client.call("GET", "/trades/AAPL?limit=1")[1] == wanted or sleep(0.2) for _ in range(50))
            assert client.call("GET", "/trades/AAPL?limit=2")[1] == trades, "one cached trade does not fill the answer"
        finally:
            valkey.delete("trades:AAPL")


def test_a_question_too_long_for_postgresql_is_given_up_and_holds_up_nobody_else(
    client: Client, shared_database: Postgres
) -> None:
    with past.locked(shared_database):
        status, error = client.call("GET", "/orders?account=alice")
        assert (status, error["code"]) == (503, "history_unavailable")
        assert "PostgreSQL works" in error["message"]
        _, health = client.call("GET", "/health")
        (postgres,) = (part for part in health["components"] if part["component"] == "postgres-0")
        assert postgres["state"] == "up", "one question does not speak for the server"
    assert client.call("GET", "/orders?account=alice")[0] == 200


async def _at_once() -> None:
    return None


def test_the_restart_of_an_engine_does_not_count_as_time_of_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    async def asks(*_: object) -> list[object]:
        asked.append(1)
        if len(asked) == 1:
            engine.link.welcome = object()  # another process by now
            await asyncio.sleep(60)
        return []

    monkeypatch.setattr(listing, "LIST_S_MAX", 0.01)
    monkeypatch.setattr(listing, "_of_partition", asks)
    engine = types.SimpleNamespace(link=types.SimpleNamespace(welcome=object(), connected=True), there=_at_once)
    stub = types.SimpleNamespace(partitions={0: engine})
    found = asyncio.run(listing.list_orders(stub, "alice", listing.Cursor({}), since_ns=0, limit=1, live=True))  # type: ignore[arg-type]
    assert found == ([], None)
    assert len(asked) == 2, "asked again once it was back"


def test_a_list_that_takes_too_long_is_given_up_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> list[object]:
        await asyncio.sleep(60)
        raise AssertionError("it was waited for")

    monkeypatch.setattr(listing, "LIST_S_MAX", 0.01)
    monkeypatch.setattr(listing, "_of_partition", never)
    engine = types.SimpleNamespace(link=types.SimpleNamespace(welcome=object(), connected=True), there=_at_once)
    stub = types.SimpleNamespace(partitions={0: engine})
    with pytest.raises(ApiError, match="history_unavailable") as refused:
        asyncio.run(listing.list_orders(stub, "alice", listing.Cursor({}), since_ns=0, limit=1, live=False))  # type: ignore[arg-type]
    assert refused.value.headers()["Retry-After"]
