"""Who may do what, with API keys on."""

import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.gateway.processes import NO_POSTGRES, NO_REDIS, Client, Process, engine, gateway, order

KEYS = {
    "trader-a": ("trader", "alice"),
    "trader-b": ("trader", "bob"),
    "ops": ("operator", "load"),
    "all": ("operator", "*"),
}


def write_keys(run: Path, keys: dict[str, tuple[str, str]]) -> None:
    lines = [f"{hashlib.sha256(key.encode()).hexdigest()} {role} {account}" for key, (role, account) in keys.items()]
    (run / "api_keys").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    run = tmp_path_factory.mktemp("g")
    (run / "password").write_text("none")
    write_keys(run, KEYS)
    parts = [engine(run), gateway(run, NO_POSTGRES, NO_REDIS, authentication="api_key", api_keys_file="api_keys")]
    for part in parts:
        part.start()
    yield parts[1]
    for part in reversed(parts):
        part.stop()


OPEN = ["/health", "/health/live", "/health/ready", "/version", "/metrics", "/openapi.json"]
TRADER = [
    ("POST", "/orders"), ("POST", "/orders/batch"), ("GET", "/orders"), ("GET", "/orders/0-1"), ("DELETE", "/orders/0-1"),
    ("PATCH", "/orders/0-1"), ("DELETE", "/orders"), ("GET", "/instruments"), ("GET", "/book/AAPL"), ("GET", "/trades/AAPL"),
]  # fmt: skip
OPERATOR = [("POST", "/halt"), ("POST", "/resume"), ("GET", "/debug/orderbook/AAPL")]


@pytest.mark.parametrize("key", [None, "nobody's", "Trader-a"])
def test_without_a_key_only_the_open_routes_answer(locked: Process, key: str | None) -> None:
    with Client(locked, key) as client:
        for method, path in TRADER + OPERATOR:
            response = client.http.request(method, path)
            assert response.status_code == 401, path
            assert response.json()["code"] == "unauthenticated" and response.headers["www-authenticate"] == "Bearer"
        for path in OPEN:
            assert client.http.get(path).status_code == 200, path


@pytest.mark.parametrize("key", ["trader-a", "trader-b"])
def test_a_trader_is_no_operator(locked: Process, key: str) -> None:
    with Client(locked, key) as client:
        for method, path in OPERATOR:
            status, error = client.call(method, path, {"why": "x"} if method == "POST" else None)
            assert (status, error["code"]) == (403, "operators_only"), path


@pytest.mark.parametrize("key", ["ops", "all"])
def test_an_operator_may_halt_and_look(locked: Process, key: str) -> None:
    with Client(locked, key) as client:
        assert client.call("POST", "/halt", {"why": "x"})[0] == 200
        assert client.call("POST", "/resume", {"why": "x"})[0] == 200
        assert client.call("GET", "/debug/orderbook/AAPL")[0] == 200


def test_an_order_is_for_the_account_of_the_key(locked: Process) -> None:
    with Client(locked, "trader-a") as client:
        status, placed = client.call("POST", "/orders", order(client_order_id="own", account=...))
        assert (status, placed["account"]) == (201, "alice")
        status, error = client.call("POST", "/orders", order(client_order_id="other", account="bob"))
        assert (status, error["code"], error["field"]) == (403, "wrong_account", "account")
        _, answers = client.call("POST", "/orders/batch", [order(client_order_id="b1", account="bob")])
        assert answers[0]["status"] == 403
        for method, path in (("GET", "/orders?account=bob&live=true"), ("DELETE", "/orders?account=bob")):
            assert client.call(method, path)[0] == 403
        assert client.call("GET", "/orders?live=true")[1]["orders"] == [placed]


def test_the_orders_of_others_do_not_exist(locked: Process) -> None:
    replace = {"request_id": "r1", "price": "1", "quantity": "1"}
    with Client(locked, "trader-a") as alice, Client(locked, "trader-b") as bob:
        _, placed = alice.call("POST", "/orders", order(client_order_id="mine"))
        path = f"/orders/{placed['order_id']}"
        for method, body in (("GET", None), ("DELETE", None), ("PATCH", replace)):
            status, error = bob.call(method, path, body)
            assert (status, error["code"]) == (404, "unknown_order"), method
        assert alice.call("GET", path) == (200, placed)
        assert alice.call("DELETE", path)[0] == 200
        for method in ("GET", "DELETE"):
            assert bob.call(method, path)[0] == 404, "nor when they are closed"


def test_an_operator_cancels_for_everybody(locked: Process) -> None:
    with Client(locked, "trader-a") as alice, Client(locked, "ops") as operator:
        _, placed = alice.call("POST", "/orders", order(client_order_id="for-ops"))
        assert operator.call("DELETE", f"/orders/{placed['order_id']}")[1]["status"] == "cancelled"
        assert operator.call("DELETE", "/orders?account=alice")[0] == 200


def test_an_operator_of_all_accounts_names_one(locked: Process) -> None:
    with Client(locked, "all") as client:
        assert client.call("POST", "/orders", order(client_order_id="o", account=...))[1]["code"] == "missing_field"
        assert client.call("POST", "/orders", order(client_order_id="o", account="bob"))[0] == 201
        assert client.call("GET", "/orders")[1]["field"] == "account"


def test_keys_are_read_again_on_sighup_and_a_bad_file_changes_nothing(locked: Process) -> None:
    def until(wanted: str) -> None:
        with (locked.run / locked.settings.log_file).open() as log:
            before = sum(wanted in line for line in log)
            locked.process.send_signal(signal.SIGHUP)
            while sum(wanted in line for line in locked.log().splitlines()) == before:
                with Client(locked) as nobody:
                    nobody.call("GET", "/health/live")

    try:
        write_keys(locked.run, {**KEYS, "fresh": ("trader", "bob")})
        until("API keys read again: 5")
        with Client(locked, "fresh") as client:
            assert client.call("GET", "/instruments")[0] == 200
        (locked.run / "api_keys").write_text("nonsense")
        until("API keys stay as they were: api_keys:1")
        with Client(locked, "fresh") as client:
            assert client.call("GET", "/instruments")[0] == 200
    finally:
        write_keys(locked.run, KEYS)
        until("API keys read again: 4")
    with Client(locked, "fresh") as client:
        assert client.call("GET", "/instruments")[0] == 401


def test_no_key_is_ever_logged(locked: Process) -> None:
    assert not any(key in locked.log() for key in ("trader-a", "nobody's"))
    assert hashlib.sha256(b"ops").hexdigest() not in locked.log()
