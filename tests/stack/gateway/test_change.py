"""Cancel, replace, mass cancel, halt and resume, against a real engine."""

from collections.abc import Callable

import pytest

from tests.stack.gateway.processes import Client

NewId = Callable[[], str]


def test_a_cancel_repeated_answers_the_same(client: Client, new_id: NewId) -> None:
    _, placed = client.place(client_order_id=new_id())
    path = f"/orders/{placed['order_id']}"
    first = client.call("DELETE", path)
    assert first[0] == 200 and (first[1]["status"], first[1]["reason"]) == ("cancelled", "by_client")
    assert client.call("DELETE", path) == first
    assert client.call("GET", path) == first


def test_a_cancel_of_a_filled_order_is_409(client: Client, new_id: NewId) -> None:
    _, placed = client.place(client_order_id=new_id())
    client.place(client_order_id=new_id(), side="sell", account="bob")
    status, error = client.call("DELETE", f"/orders/{placed['order_id']}")
    assert (status, error["code"], error["field"]) == (409, "order_closed", "order_id")
    assert client.call("PATCH", f"/orders/{placed['order_id']}", replace(new_id()))[0] == 409


@pytest.mark.parametrize(
    "order_id", ["0-999999999", "7-1", "0-0", "0", "x", "0-1x", "0-01", "-1", "0-" + "9" * 30, "%ff"]
)
def test_an_unknown_order_is_404(client: Client, order_id: str) -> None:
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", replace("r"))):
        status, error = client.call(method, f"/orders/{order_id}", body)
        assert (status, error["code"], error["field"]) == (404, "unknown_order", "order_id"), method


def replace(request_id: str, **changes: object) -> dict[str, object]:
    whole = {"request_id": request_id, "price": "190.00", "quantity": "12", **changes}
    return {name: value for name, value in whole.items() if value is not ...}


def test_a_replace_changes_once(client: Client, new_id: NewId) -> None:
    _, placed = client.place(client_order_id=new_id())
    path, request = f"/orders/{placed['order_id']}", replace(new_id())
    first = client.call("PATCH", path, request)
    assert first[0] == 200
    assert (first[1]["price"], first[1]["quantity"], first[1]["leaves_quantity"]) == ("190", "12", "12")
    before = client.sequence()
    assert client.call("PATCH", path, request) == first
    status, error = client.call("PATCH", path, {**request, "quantity": "13"})
    assert (status, error["code"], error["field"]) == (409, "request_id_conflict", "request_id")
    assert client.sequence() == before


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (replace(...), "missing_field", "request_id"),
        (replace("a b"), "bad_value", "request_id"),
        (replace("r", price=...), "missing_field", "price"),
        (replace("r", price="190.001"), "not_a_multiple", "price"),
        (replace("r", price=None), "wrong_type", "price"),
        (replace("r", quantity=0), "not_positive", "quantity"),
        (replace("r", quantity="1e3"), "not_a_number", "quantity"),
        (replace("r", side="sell"), "unknown_field", "side"),
        ([], "wrong_type", None),
        (b'{"request_id":"r","request_id":"r"}', "duplicate_key", "request_id"),
        (b"", "invalid_json", None),
    ],
)
def test_a_bad_replace_does_nothing(client: Client, new_id: NewId, body: object, code: str, field: str | None) -> None:
    _, placed = client.place(client_order_id=new_id())
    before = client.sequence()
    status, error = client.call("PATCH", f"/orders/{placed['order_id']}", body)
    assert (status, error["code"], error["field"]) == (422, code, field)
    assert client.sequence() == before


def test_a_replace_below_what_is_filled_is_refused_by_the_engine(client: Client, new_id: NewId) -> None:
    _, placed = client.place(client_order_id=new_id())
    client.place(client_order_id=new_id(), side="sell", account="bob", quantity="4")
    status, error = client.call("PATCH", f"/orders/{placed['order_id']}", replace(new_id(), quantity="4"))
    assert (status, error["code"], error["field"]) == (422, "bad_value", "quantity")


def test_a_mass_cancel_takes_one_account_or_one_symbol(client: Client, new_id: NewId) -> None:
    for symbol in ("AAPL", "AAPL", "MSFT"):
        client.place(client_order_id=new_id(), symbol=symbol)
    _, other = client.place(client_order_id=new_id(), account="bob", price="1")
    status, done = client.call("DELETE", "/orders?account=alice&symbol=AAPL")
    assert (status, done) == (200, {"account": "alice", "cancelled": 2, "repeated": False})
    assert client.call("DELETE", "/orders?account=alice")[1]["cancelled"] == 1
    assert client.call("GET", f"/orders/{other['order_id']}")[1]["status"] == "open"


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("", "missing_field", "account"),
        ("?account=nobody", "unknown_account", "account"),
        ("?account=alice&symbol=ZZZZ", "unknown_symbol", "symbol"),
        ("?acount=alice", "unknown_field", "acount"),
        ("?account=alice&account=bob", "duplicate_key", "account"),
    ],
)
def test_a_bad_mass_cancel_does_nothing(client: Client, query: str, code: str, field: str) -> None:
    before = client.sequence()
    status, error = client.call("DELETE", f"/orders{query}")
    assert (status, error["code"], error["field"]) == (422, code, field)
    assert client.sequence() == before


def test_halted_takes_cancels_only_until_somebody_resumes(client: Client, new_id: NewId) -> None:
    _, placed = client.place(client_order_id=new_id())
    name = new_id()
    status, done = client.call("POST", "/halt", {"why": "a test"})
    try:
        assert status == 200 and done["halted"] and [state["partition"] for state in done["partitions"]] == [0]
        status, error = client.place(client_order_id=name)
        assert (status, error["code"]) == (503, "halted")
        assert client.call("PATCH", f"/orders/{placed['order_id']}", replace(new_id()))[0] == 503
        assert client.call("DELETE", f"/orders/{placed['order_id']}")[0] == 200
        status, health = client.call("GET", "/health/ready")
        assert (status, health["halted"]) == (200, True), "halted is still ready"
    finally:
        status, done = client.call("POST", "/resume", {"why": "the test is over"})
    assert status == 200 and not done["halted"]
    assert client.place(client_order_id=name)[0] == 201, "what was refused may be sent again"


@pytest.mark.parametrize(
    "body", [{}, {"why": ""}, {"why": "x" * 45}, {"why": "ä"}, {"why": 1}, {"reason": "x"}, [], b""]
)
def test_a_halt_says_why(client: Client, body: object) -> None:
    before = client.sequence()
    assert client.call("POST", "/halt", body)[0] == 422
    assert client.call("POST", "/resume", body)[0] == 422
    assert client.sequence() == before
