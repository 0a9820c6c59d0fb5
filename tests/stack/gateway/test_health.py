"""Health, version and metrics: what an operator and a monitor see."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.records import RULES_VERSION
from stack.gateway import health
from stack.images import probe
from stack.settings import Postgres
from tests.stack.gateway.processes import NO_REDIS, Client, engine, gateway
from tests.stack.servers import PostgresServer, ValkeyServer


def states(health: Any) -> dict[str, str]:
    return {component["component"]: component["state"] for component in health["components"]}


def test_all_there_is_ready_with_a_sentence_each(client: Client) -> None:
    status, health = client.call("GET", "/health/ready")
    assert (status, health["status"], health["halted"]) == (200, "ready", False)
    seen = states(health)
    assert {name: seen[name] for name in ("engine-0", "gateway-0", "postgres-0", "redis")} == {
        "engine-0": "up", "gateway-0": "up", "postgres-0": "up", "redis": "up",
    }  # fmt: skip
    assert seen["persister-0"] == "unseen"
    assert all(component["message"] for component in health["components"])
    assert client.call("GET", "/health") == (status, health)


def test_without_postgresql_and_valkey_orders_go_on_and_history_is_503(
    run: Path, started: Any, tmp_path_factory: pytest.TempPathFactory, shared_redis: Any
) -> None:
    """Both are killed while in use: the pool's connections are dead ones then."""
    postgres = PostgresServer(tmp_path_factory.mktemp("pg"))
    valkey = ValkeyServer(tmp_path_factory.mktemp("vk"))
    started(engine(run))
    door = started(gateway(run, postgres.settings("postgres"), valkey.settings()))
    with Client(door) as client:
        seen = states(client.call("GET", "/health")[1])
        assert seen["redis"] == "up"
        postgres.kill()
        valkey.kill()
        status, placed = client.place(client_order_id="goes-on")
        assert status == 201
        status, error = client.call("GET", "/orders?account=alice")
        assert (status, error["code"]) == (503, "history_unavailable")
        assert client.call("GET", "/orders?account=alice&live=true")[1]["orders"] == [placed]
        assert client.call("GET", "/orders?account=alice&client_order_id=goes-on")[1]["orders"] == [placed]
        assert client.call("GET", f"/orders/{placed['order_id']}") == (200, placed)
        assert client.call("GET", "/trades/AAPL")[1]["code"] == "history_unavailable"
        status, health = client.call("GET", "/health/ready")
        assert (status, health["status"]) == (200, "degraded")
        assert states(health)["postgres-0"] == states(health)["redis"] == "down"
        assert client.call("DELETE", f"/orders/{placed['order_id']}")[0] == 200
        valkey.start()
        while states(client.call("GET", "/health")[1])["redis"] != "up":
            pass  # the breaker tries again within its pause
    valkey.kill()


def test_a_postgresql_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """hftctl gives /health two seconds, and a question to PostgreSQL may take as long."""
    monkeypatch.setattr(health, "HISTORY_TIMEOUT_S", 0.01)

    async def ask() -> tuple[str, dict[int, int]]:
        gateway: Any = SimpleNamespace(history=SimpleNamespace(checkpoints=asyncio.Event().wait))
        return await asyncio.wait_for(health._history(gateway), 5)

    assert asyncio.run(ask()) == ("PostgreSQL does not answer: not within 0.01 s", {})


def test_the_look_that_docker_takes_agrees_with_health(
    run: Path, started: Any, shared_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run)
    part = started(engine(run))
    door = started(gateway(run, shared_database, NO_REDIS))
    look = {"socket": door.settings.socket}
    assert probe.gateway(look) == (True, "takes orders")
    part.stop()
    with Client(door) as client:
        status, health = client.call("GET", "/health/ready")
    assert status == 503
    ready, said = probe.gateway(look)
    assert not ready
    assert said == f"is not ready: {health['message']}"


def test_version_names_the_release_and_the_engines(client: Client, shared_gateway: Any) -> None:
    assert client.call("GET", "/version")[1]["release"] is None, "nobody has said it"
    (shared_gateway.run / "release.json").write_text('{"hash": "0123abcd", "profile": {}}')
    _, version = client.call("GET", "/version")
    assert (version["release"], version["partition_map"], version["protocol"]) == ("0123abcd", 3, 1)
    assert version["partitions"] == [
        {
            "partition": 0,
            "implementation": "python",
            "rules_version": RULES_VERSION,
            "epoch": version["partitions"][0]["epoch"],
        }
    ]


def samples(client: Client) -> dict[str, float]:
    lines = client.http.get("/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_metrics_count_requests_by_template_and_status(client: Client) -> None:
    client.call("GET", "/orders/0-998")
    before = samples(client)
    for number in range(5):
        client.call("GET", f"/orders/0-99{number}999")
        client.call("GET", f"/no/such/route/{number}")
    client.place(quantity="0")
    after = samples(client)
    component = 'component="gateway-0"'
    route = f'hft_gateway_requests_total{{{component},route="GET /orders/{{order_id}}",status="404"}}'
    assert after[route] - before[route] == 5
    assert after[f'hft_gateway_requests_total{{{component},route="GET unmatched",status="404"}}'] >= 5
    assert after[f'hft_gateway_requests_total{{{component},route="POST /orders",status="422"}}'] >= 1
    assert after[f'hft_gateway_request_seconds_count{{{component},route="POST /orders"}}'] >= 1
    assert after[f"hft_gateway_held_requests{{{component}}}"] == 0
    assert after[f'hft_gateway_engine_link_up{{{component},partition="0"}}'] == 1
    assert not any("99" in name and "route" in name and "999" in name for name in after), "no ids in labels"


def test_metrics_can_be_switched_off(run: Path, started: Any, shared_database: Postgres) -> None:
    (run / "password").write_text("none")
    door = started(gateway(run, shared_database, NO_REDIS, metrics_enabled=False))
    with Client(door) as client:
        status, error = client.call("GET", "/metrics")
        assert (status, error["code"]) == (404, "not_found")
    assert not (run / "metrics").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"authentication": "api_key"}, "no api_keys_file"),
        ({"authentication": "api_key", "api_keys_file": "none"}, "cannot read API keys from none"),
    ],
)
def test_a_gateway_that_cannot_start_says_why(
    run: Path, shared_database: Postgres, changes: dict[str, Any], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    door = gateway(run, shared_database, NO_REDIS, **changes)
    door.start(wait=False)
    assert door.process.wait(20) == 1
    assert message in capfd.readouterr().err and message in door.log()


def test_settings_that_do_not_fit_are_named(
    run: Path, capfd: pytest.CaptureFixture[str], shared_database: Postgres
) -> None:
    door = gateway(run, shared_database, NO_REDIS, hold_s="long")
    door.start(wait=False)
    assert door.process.wait(20) == 2
    assert "hold_s" in capfd.readouterr().err
