"""/openapi.json says the truth: about every route, its parameters, its statuses and the shape of what it answers."""

from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from stack.gateway.errors import TABLE
from tests.stack.gateway.processes import Client, order
from tests.stack.gateway.test_access import OPEN, locked  # noqa: F401  the fixture

NewId = Callable[[], str]
REPLACE = {"request_id": "r", "price": "1", "quantity": "2"}


@pytest.fixture(scope="module")
def document(shared_gateway: Any) -> dict[str, Any]:
    with Client(shared_gateway) as client:
        return client.call("GET", "/openapi.json")[1]


def checked(client: Client, document: dict[str, Any], method: str, route: str, path: str, body: object = None) -> Any:
    """Ask, and hold the answer against what the document says of this route and status."""
    operation = document["paths"][route][method.lower()]
    response = client.http.request(method, path, **({} if body is None else {"json": body}))
    status = str(response.status_code)
    assert status in operation["responses"], f"{method} {route} answers {status}, which is not documented"
    content = operation["responses"][status]["content"]
    kind = response.headers["content-type"].partition(";")[0]
    assert kind in content, f"{method} {route} {status} answers {kind}"
    if kind != "application/json":
        return response.text
    answer = response.json()
    schema = {**content[kind]["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer)
    if response.status_code >= 400:
        assert TABLE[answer["code"]][0] == response.status_code
        assert f"`{answer['code']}`" in operation["responses"][status]["description"]
    return answer


def test_every_answer_is_as_documented(client: Client, document: dict[str, Any], new_id: NewId) -> None:
    visited = set()

    def ask(method: str, route: str, path: str = "", body: object = None) -> Any:
        visited.add((method.lower(), route))
        return checked(client, document, method, route, path or route, body)

    placed = ask("POST", "/orders", body=(wanted := order(client_order_id=new_id())))
    ask("POST", "/orders", body=wanted)
    ask("POST", "/orders", body={**wanted, "quantity": 11})
    ask("POST", "/orders", body={**wanted, "price": "x"})
    ask("POST", "/orders", body=order(client_order_id=new_id(), symbol="NVDA"))
    ask("POST", "/orders", body="x" * (1 << 20))
    filled = ask("POST", "/orders", body=order(client_order_id=new_id(), side="sell", account="bob", quantity="4"))
    assert filled["fills"]
    ask("POST", "/orders/batch", body=[order(client_order_id=new_id()), {}])
    ask("POST", "/orders/batch", body=[])
    one = "/orders/{order_id}"
    for order_id in (placed["order_id"], filled["order_id"], "0-999999999"):
        ask("GET", one, f"/orders/{order_id}")
        ask("PATCH", one, f"/orders/{order_id}", {**REPLACE, "request_id": new_id()})
        ask("DELETE", one, f"/orders/{order_id}")
    ask("PATCH", one, f"/orders/{placed['order_id']}", {})
    for query in ("?account=alice", "?account=alice&live=true", "?account=alice&limit=1", "?limit=0", ""):
        ask("GET", "/orders", f"/orders{query}")
    ask("GET", "/book/{symbol}", "/book/AAPL")
    ask("GET", "/debug/orderbook/{symbol}", "/debug/orderbook/AAPL")
    for route in ("/book/{symbol}", "/trades/{symbol}", "/debug/orderbook/{symbol}"):
        ask("GET", route, route.replace("{symbol}", "AAPL"))
        ask("GET", route, route.replace("{symbol}", "ZZZZ"))
    ask("DELETE", "/orders", "/orders?account=alice")
    ask("DELETE", "/orders")
    for route in ("/halt", "/resume"):
        ask("POST", route, body={"why": "documented"})
        ask("POST", route, body={})
    for route in (*OPEN, "/instruments"):
        ask("GET", route)
    documented = {(method, route) for route, methods in document["paths"].items() for method in methods}
    assert visited == documented


def test_the_document_itself_is_well_formed(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert "HTTPValidationError" not in document["components"]["schemas"], "our errors have one shape"


def test_the_order_of_the_document_takes_good_orders_and_refuses_bad_ones(document: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/OrderRequest", "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(order())
    validator.validate(order(price=190.25, quantity=3, account=..., post_only=True))
    for wrong in (
        order(side="BUY"),
        order(quantity="-1"),
        order(price="1e5"),
        order(x=1),
        order(client_order_id="a b"),
    ):
        assert not validator.is_valid(wrong), wrong


def test_each_documented_route_but_the_open_ones_wants_a_key(document: dict[str, Any], locked: Any) -> None:  # noqa: F811
    with Client(locked) as client:
        for route, methods in document["paths"].items():
            for method, operation in methods.items():
                path = route.replace("{order_id}", "0-1").replace("{symbol}", "AAPL")
                status = client.http.request(method, path).status_code
                assert (status == 401) == (route not in OPEN) == ("401" in operation["responses"]), (method, route)
                assert ("security" in operation) == (route not in OPEN), (method, route)


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/", 404, "not_found", None),
        ("POST", "/order", 404, "not_found", None),
        ("GET", "/orders/", 404, "not_found", None),
        ("GET", "/docs", 404, "not_found", None),
        ("GET", "/orders/batch/x", 404, "not_found", None),
        ("PUT", "/orders", 405, "method_not_allowed", "DELETE, GET, POST"),
        ("POST", "/orders/0-1", 405, "method_not_allowed", "DELETE, GET, PATCH"),
        ("PUT", "/orders/batch", 405, "method_not_allowed", "DELETE, GET, PATCH, POST"),
        ("GET", "/halt", 405, "method_not_allowed", "POST"),
        ("DELETE", "/health", 405, "method_not_allowed", "GET"),
    ],
)
def test_unknown_routes_and_methods_have_the_same_shape(
    client: Client, method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    response = client.http.request(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert set(response.json()) == {"code", "message", "field"}
    assert response.headers.get("allow") == allow
