"""POST /orders and POST /orders/batch, against a real engine."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.records import DAY_NS
from tests.stack.gateway.bad_orders import BAD
from tests.stack.gateway.processes import NO_POSTGRES, NO_REDIS, Client, Process, engine, gateway, order

NewId = Callable[[], str]
MIB = 1 << 20


def test_an_order_is_created_and_answered_whole(client: Client, new_id: NewId) -> None:
    status, placed = client.place(client_order_id=(name := new_id()))
    assert status == 201
    assert placed["order_id"] == f"0-{placed['sequence']}"
    assert placed["created_ns"] == placed["updated_ns"] > 1_700_000_000 * 10**9
    wanted = {
        "client_order_id": name, "account": "alice", "symbol": "AAPL", "side": "buy", "type": "limit",
        "time_in_force": "GTC", "post_only": False, "self_trade": None, "price": "190.25", "quantity": "10", "filled_quantity": "0",
        "leaves_quantity": "10", "average_price": None, "status": "open", "fills": [],
    }  # fmt: skip
    assert {key: placed[key] for key in wanted} == wanted


def test_the_same_again_is_200_and_no_second_order(client: Client, new_id: NewId) -> None:
    wanted = order(client_order_id=new_id())
    first = client.call("POST", "/orders", wanted)
    before = client.sequence()
    again = client.call("POST", "/orders", wanted)
    assert (first[0], again[0]) == (201, 200) and first[1] == again[1]
    # Numbers are compared, not their spelling.
    assert client.call("POST", "/orders", {**wanted, "price": "190.250", "quantity": 10})[0] == 200
    assert client.sequence() == before


def test_the_same_id_with_another_body_is_409(client: Client, new_id: NewId) -> None:
    wanted = order(client_order_id=new_id())
    client.call("POST", "/orders", wanted)
    before = client.sequence()
    status, error = client.call("POST", "/orders", {**wanted, "quantity": "11"})
    assert (status, error["code"], error["field"]) == (409, "client_order_id_conflict", "client_order_id")
    assert client.sequence() == before


def test_two_orders_meet(client: Client, new_id: NewId) -> None:
    client.place(client_order_id=new_id(), side="sell", account="bob", price="190.00", quantity="4")
    status, taken = client.place(client_order_id=new_id(), type="market", price=..., quantity="6")
    assert status == 201
    assert (taken["status"], taken["filled_quantity"], taken["leaves_quantity"]) == ("cancelled", "4", "0")
    assert taken["average_price"] == "190" and [fill["liquidity"] for fill in taken["fills"]] == ["taker"]


@pytest.mark.parametrize("time_in_force", ["IOC", "FOK"])
def test_what_finds_nothing_is_created_and_cancelled(client: Client, new_id: NewId, time_in_force: str) -> None:
    status, placed = client.place(client_order_id=new_id(), time_in_force=time_in_force)
    assert (status, placed["status"], placed["leaves_quantity"]) == (201, "cancelled", "0")


@pytest.mark.parametrize(
    ("said", "comes", "stood"),
    [
        ("cancel_newest", "cancelled", "open"),
        ("cancel_oldest", "open", "cancelled"),
        ("cancel_both", "cancelled", "cancelled"),
        (None, "filled", "filled"),
    ],
)
def test_an_order_that_meets_its_own_account(
    client: Client, new_id: NewId, said: str | None, comes: str, stood: str
) -> None:
    for account in ("alice", "bob"):
        client.call("DELETE", f"/orders?account={account}&symbol=AAPL")
    _, resting = client.place(client_order_id=new_id(), side="sell", account="bob")
    status, placed = client.place(client_order_id=new_id(), account="bob", self_trade=said)
    assert (status, placed["status"], placed["self_trade"]) == (201, comes, said)
    _, found = client.call("GET", f"/orders/{resting['order_id']}")
    assert (found["status"], found["self_trade"]) == (stood, None)
    assert {placed["reason"], found["reason"]} <= {None, "self_trade"}
    for one in (placed, found):
        if one["status"] == "open":
            client.call("DELETE", f"/orders/{one['order_id']}")


def test_an_order_that_ends_by_the_clock(client: Client, new_id: NewId) -> None:
    ends = time.time_ns() + 500_000_000
    status, timed = client.place(
        client_order_id=new_id(), account="bob", price="1.00", time_in_force="GTT", expires_ns=ends
    )
    assert (status, timed["status"], timed["time_in_force"], timed["expires_ns"]) == (201, "open", "GTT", ends)
    _, day = client.place(client_order_id=new_id(), account="bob", price="1.00", time_in_force="DAY")
    assert day["expires_ns"] == (day["created_ns"] // DAY_NS + 1) * DAY_NS
    client.call("DELETE", f"/orders/{day['order_id']}")
    deadline_s = time.monotonic() + 20
    while (found := client.call("GET", f"/orders/{timed['order_id']}")[1])["status"] == "open":
        assert time.monotonic() < deadline_s
    assert (found["status"], found["reason"], found["leaves_quantity"]) == ("expired", "expired", "0")
    assert ends <= found["updated_ns"]
    status, error = client.call("DELETE", f"/orders/{timed['order_id']}")
    assert (status, error["code"]) == (409, "order_closed")
    status, error = client.place(client_order_id=new_id(), account="bob", time_in_force="GTT", expires_ns=ends)
    assert (status, error["code"], error["field"]) == (422, "bad_value", "expires_ns")


def test_post_only_that_would_cross_is_422_and_its_id_stays_free(client: Client, new_id: NewId) -> None:
    client.place(client_order_id=new_id(), side="sell", account="bob")
    name = new_id()
    status, error = client.place(client_order_id=name, post_only=True)
    assert (status, error["code"], error["field"]) == (422, "post_only_would_cross", "price")
    assert client.place(client_order_id=name, post_only=True, price="190.00")[0] == 201


def test_a_halted_instrument_is_503(client: Client, new_id: NewId) -> None:
    status, error = client.place(client_order_id=new_id(), symbol="NVDA")
    assert (status, error["code"], error["field"]) == (503, "instrument_halted", "symbol")


def test_bad_input_is_refused_and_nothing_is_journalled(client: Client) -> None:
    before = client.sequence()
    wrong = {}
    for name, (data, code, field) in BAD.items():
        status, error = client.call("POST", "/orders", data)
        if (status, error.get("code"), error.get("field")) != (422, code, field) or set(error) != {
            "code",
            "message",
            "field",
        }:
            wrong[name] = (status, error)
    assert not wrong
    assert client.sequence() == before


def padded(size: int) -> bytes:
    data = json.dumps(order(client_order_id="padded")).encode()
    return data + b" " * (size - len(data))


def in_pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 1 << 16):
        yield data[start : start + (1 << 16)]


def test_a_body_of_one_mib_is_read_and_one_byte_more_is_413(client: Client) -> None:
    assert client.call("POST", "/orders", padded(MIB))[0] == 201
    before = client.sequence()
    status, error = client.call("POST", "/orders", padded(MIB + 1))
    assert (status, error["code"]) == (413, "body_too_large")
    for path in ("/orders", "/orders/batch", "/halt"):
        response = client.http.post(path, content=in_pieces(padded(MIB + 1)))
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large"), path
    assert client.sequence() == before


def test_a_batch_answers_each_order_in_its_place(client: Client, new_id: NewId) -> None:
    names = [new_id() for _ in range(3)]
    batch = [
        order(client_order_id=names[0]),
        order(client_order_id=names[1], quantity="0"),
        order(client_order_id=names[0]),
        7,
        order(client_order_id=names[2], side="sell", account="bob", quantity="3"),
        order(client_order_id=names[0], quantity="9"),
    ]
    status, answers = client.call("POST", "/orders/batch", batch)
    assert status == 200
    assert [answer["status"] for answer in answers] == [201, 422, 200, 422, 201, 409]
    assert answers[1]["error"]["code"] == "not_positive"
    assert answers[2]["order"] == answers[0]["order"]
    assert answers[3]["error"]["code"] == "wrong_type"
    assert answers[4]["order"]["status"] == "filled"


def test_a_batch_reaches_the_engine_in_its_order(client: Client, new_id: NewId) -> None:
    batch = [order(client_order_id=new_id(), price=str(100 + n % 7)) for n in range(300)]
    _, answers = client.call("POST", "/orders/batch", batch)
    sequences = [answer["order"]["sequence"] for answer in answers]
    assert sequences == list(range(sequences[0], sequences[0] + 300))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"[]", "batch_size"),
        (json.dumps([order()] * 1001).encode(), "batch_size"),
        (json.dumps(order()).encode(), "wrong_type"),
        (b"[" + json.dumps(order()).encode(), "invalid_json"),
        (b'[{"a":1,"a":1}]', "duplicate_key"),
        (b"", "invalid_json"),
    ],
)
def test_a_bad_batch_does_nothing(client: Client, data: bytes, code: str) -> None:
    before = client.sequence()
    status, error = client.call("POST", "/orders/batch", data)
    assert (status, error["code"]) == (422, code)
    assert client.sequence() == before


def test_too_many_at_once_are_429_and_come_through_later(run: Path, started: Callable[[Process], Process]) -> None:
    (run / "password").write_text("none")
    started(engine(run, max_orders_per_second=1))
    with Client(started(gateway(run, NO_POSTGRES, NO_REDIS))) as client:
        answers = client.call("POST", "/orders/batch", [order(client_order_id=f"r-{n}") for n in range(20)])[1]
        refused = [answer["error"] for answer in answers if answer["status"] == 429]
        assert len(refused) >= 18 and {error["code"] for error in refused} == {"busy"}
        assert len(client.call("GET", "/orders?account=alice&live=true")[1]["orders"]) == 20 - len(refused)
        response = client.http.post("/orders", json=order(client_order_id="r-19"))
        while response.status_code == 429:
            assert response.headers["retry-after"] == "1"
            response = client.http.post("/orders", json=order(client_order_id="r-19"))
        assert response.status_code == 201
