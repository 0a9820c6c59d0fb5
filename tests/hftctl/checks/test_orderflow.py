import pytest

from hftctl.checks import health, orderflow
from hftctl.checks.door import Door
from hftctl.errors import Failed, Inconclusive, NotFound
from tests.hftctl.checks.exchange import Exchange, serving

LIMITS = orderflow.Limits(door_s=3.0, rows_s=0.3)


@pytest.fixture
def exchange():
    return Exchange()


@pytest.fixture
def prove(exchange):
    with serving(exchange) as endpoint, Door(endpoint, api_key="the-key") as door:

        def prove(**options):
            options = {"rollout": "20261121-052048-ab12cd", "partitions": 1, "fetch_fills": exchange.rows, **options}
            return orderflow.prove(door, limits=LIMITS, **options)

        yield prove


def test_two_crossing_orders_in_each_partition_prove_it(exchange, prove):
    proofs = prove(partitions=2)
    assert [proof["symbol"] for proof in proofs] == ["PROOF.0", "PROOF.1"]
    assert all(proof["order"]["status"] == "filled" and proof["rows"] == 2 for proof in proofs)
    assert {order["account"] for order in exchange.orders.values()} == {"proof"}
    assert all(len(client_id) <= 36 for client_id in exchange.by_client)
    assert exchange.keys == {"Bearer the-key"}


def test_the_same_rollout_again_places_no_second_pair(exchange, prove):
    prove()
    prove()
    assert len(exchange.orders) == 2


def test_what_an_earlier_proof_left_open_is_cancelled_first_and_nothing_is_left(exchange, prove):
    exchange.place({"client_order_id": "old", "account": "proof", "symbol": "PROOF.0", "side": "sell"})
    assert prove()[0]["order"]["fills"][0]["trade_id"]
    assert [order["status"] for order in exchange.orders.values()] == ["cancelled", "filled", "filled"]


def test_orders_that_do_not_match_fail_and_are_cancelled(exchange, prove):
    exchange.matches = False
    with pytest.raises(Failed, match=r"two crossing orders on PROOF\.0 did not match: 0-2 is open"):
        prove()
    assert {order["status"] for order in exchange.orders.values()} == {"cancelled"}


def test_a_halted_partition_proves_nothing_either_way(exchange, prove):
    exchange.answers = [(503, {"code": "halted", "message": "trading is halted by an operator"})]
    with pytest.raises(Inconclusive, match="partition 0 takes no orders: trading is halted"):
        prove()


def test_what_passes_is_tried_again_by_the_same_id(exchange, prove):
    exchange.answers = [
        (429, {"code": "busy"}),
        (503, {"code": "engine_unavailable"}),
        (504, {"code": "outcome_unknown"}),
    ]
    assert prove()
    assert len(exchange.orders) == 2


def test_what_does_not_pass_is_told_with_code_and_message(exchange, prove):
    exchange.answers = [
        (422, {"code": "unknown_symbol", "message": "PROOF.0 is no instrument here", "field": "symbol"})
    ]
    with pytest.raises(Failed, match=r"422 unknown_symbol: PROOF\.0 is no instrument here"):
        prove()


def test_rows_that_are_late_are_waited_for(exchange, prove):
    asked = []

    def late(partition, orders):
        asked.append(orders)
        return exchange.rows(partition, orders)[: len(asked) - 1]

    assert prove(fetch_fills=late)[0]["rows"] == 2
    assert len(asked) == 3


def test_rows_that_never_come_fail(prove):
    with pytest.raises(Failed, match=r"order 0-2 was filled, but its rows are not in PostgreSQL .*: 0 of 2 are there"):
        prove(fetch_fills=lambda _partition, _orders: [])


def test_rows_that_differ_fail_at_once(exchange, prove):
    def wrong(partition, orders):
        return [{**row, "price": "99"} for row in exchange.rows(partition, orders)]

    with pytest.raises(Failed, match="PostgreSQL has other fills than the engine"):
        prove(fetch_fills=wrong)


def unreachable(_partition, _orders):
    raise NotFound("connection to server at 127.0.0.1, port 55432 failed: refused")


def test_postgres_that_went_down_meanwhile_fails(prove):
    with pytest.raises(Failed, match="port 55432 failed"):
        prove(fetch_fills=unreachable)


def test_postgres_that_was_down_before_is_inconclusive(prove):
    with pytest.raises(Inconclusive, match="was filled, but PostgreSQL was down before"):
        prove(fetch_fills=unreachable, database_was_down=True)


def test_an_answer_that_is_no_json_object_is_shown(exchange, prove):
    exchange.answers = [(502, b"<html>Bad Gateway</html>")]
    with pytest.raises(Failed, match="502 '<html>Bad Gateway"):
        prove()


def test_nobody_at_the_door_is_said():
    with (
        Door("http://127.0.0.1:1", api_key=None) as door,
        pytest.raises(NotFound, match=r"DELETE http://127.0.0.1:1/orders"),
    ):
        orderflow.prove(door, rollout="r", partitions=1, fetch_fills=unreachable)


def test_health_is_waited_for_and_told_when_it_does_not_come(exchange):
    not_ready = (503, {"code": "not_ready", "message": "no link to engine-0"})
    exchange.health = [not_ready] * 3
    with serving(exchange) as endpoint, Door(endpoint, api_key=None) as door:
        health.wait_ready(door, timeout_s=10)
        exchange.health = [not_ready] * 100
        with pytest.raises(Failed, match="503 no link to engine-0"):
            health.wait_ready(door, timeout_s=0.1)
