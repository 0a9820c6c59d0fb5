"""From nothing to a real order on this machine, and what happens to it when parts are killed."""

import os
import signal
import socket

import httpx
import psycopg
import pytest

from hftctl.errors import Refused
from hftctl.paths import layout
from hftctl.targets.local import control
from tests.e2e.conftest import Stack, make_profile
from tests.ports import free_neighbours, free_ports

pytestmark = pytest.mark.stack


def test_a_deploy_ends_ready_and_proved_by_an_order(stack):
    revision = stack.target.revisions()[0]
    assert revision.proof["orders"]
    status = stack.target.status()
    assert [component for component in status if not component.ready or component.state != "running"] == []


def test_an_order_by_http_is_a_fill_in_postgresql(stack):
    maker, taker = stack.trade()
    stack.until(lambda: stack.rows(maker) and stack.rows(taker), "both sides are in PostgreSQL")
    assert stack.rows(maker) == stack.rows(taker)
    assert stack.read(taker)["fills"][0]["liquidity"] == "taker"


def test_what_closed_while_the_persister_stood_still_is_listed(stack):
    persister = stack.pids()["persister-0"]
    os.kill(persister, signal.SIGSTOP)
    try:
        placed = stack.order(symbol="NVDA").json()
        door = stack.target.endpoint()
        assert httpx.delete(f"{door}/orders/{placed['order_id']}", timeout=30).status_code == 200
        listed = httpx.get(f"{door}/orders?account=demo&since={placed['created_ns']}", timeout=30).json()["orders"]
    finally:
        os.kill(persister, signal.SIGCONT)
    assert [(order["order_id"], order["status"]) for order in listed] == [(placed["order_id"], "cancelled")]


def test_deploying_the_same_again_does_nothing(stack):
    before = stack.pids()
    assert stack.deploy().result == "unchanged"
    assert stack.pids() == before


def test_everything_is_on_loopback_and_ours_alone(stack):
    place = layout(stack.name)
    for folder in (place.root, place.run, place.secrets, place.config, place.data):
        assert folder.stat().st_mode & 0o077 == 0, folder
    assert [path for path in place.secrets.iterdir() if path.stat().st_mode & 0o077] == []
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(**{**stack.target.postgres(0), "password": "guess"})
    with socket.create_connection(("127.0.0.1", stack.profile["ports"]["redis"]), 5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")


@pytest.mark.parametrize("component", ["engine-0", "gateway-1", "persister-0", "postgres-0", "redis", "nginx"])
def test_a_killed_component_comes_back_by_itself(stack, component):
    order_id = stack.order(symbol="MSFT").json()["order_id"]
    dead = stack.kill(component)
    stack.until(lambda: stack.pids()[component] not in {None, dead}, f"{component} runs again")
    stack.until_ready()
    assert stack.read(order_id)["status"] == "open", "what was acknowledged is still there"
    maker, _ = stack.trade()
    stack.until(lambda: stack.rows(maker), "rows are written again")


def test_an_order_sent_while_the_gateway_is_dead_waits_for_it(stack):
    """Order entry of layout `engine` does not meet the gateway; a read does, and none is lost."""
    order_id = stack.order(symbol="NVDA").json()["order_id"]
    stack.kill("gateway-1")
    assert stack.read(order_id)["status"] == "open"
    stack.until_ready()


def test_an_order_sent_while_the_engine_is_dead_waits_for_it(stack):
    for _ in range(3):
        stack.kill("engine-0")
        answer = stack.order(symbol="TSLA")
        assert answer.status_code == 201, answer.text
    stack.until_ready()


def test_a_killed_supervisor_harms_nobody_and_the_next_deploy_repairs(stack):
    before = stack.pids()
    dead = stack.kill("supervisor")
    stack.trade()
    [status] = [component for component in stack.target.status() if component.component == "supervisor"]
    assert (status.state, status.ready) == ("missing", False)
    result = stack.deploy()
    assert [change.subject for change in result.plan.pending] == ["supervisor"]
    after = stack.pids()
    assert after.pop("supervisor") not in {None, dead}
    assert before.pop("supervisor") == dead
    assert after == before
    dead = stack.kill("gateway-1")
    stack.until(lambda: stack.pids()["gateway-1"] not in {None, dead}, "it is looked after again")
    stack.until_ready()


def test_a_setting_restarts_what_it_concerns_and_nothing_else(stack):
    before = stack.pids()
    result = stack.deploy(gateways=2)
    assert result.result == "ready"
    after = stack.pids()
    assert after.pop("gateway-2")
    assert after == before, "nginx reloads, the others are kept, the gateway that was there too"
    ops = {change.subject: change.op for change in result.plan.changes}
    assert (ops["gateway-1"], ops["gateway-2"], ops["nginx"]) == ("keep", "create", "update")
    version = httpx.get(f"{stack.target.endpoint()}/version", timeout=30).json()
    assert version["release"] == result.release, "both gateways show the new one"
    stack.trade()


def test_stop_and_start_keep_everything(stack):
    maker, taker = stack.trade()
    stack.until(lambda: stack.rows(taker), "rows are there")
    assert stack.stop().result == "stopped"
    assert stack.left_running() == []
    assert {component.state for component in stack.target.status()} == {"missing", "stopped"}
    assert stack.start().result == "ready"
    assert stack.read(maker)["status"] == "filled"
    assert stack.rows(maker)


def test_logs_are_one_stream_in_the_order_of_time(stack):
    lines = list(stack.target.logs([], since_s=None, follow=False))
    assert {"engine-0", "gateway-1", "postgres-0", "redis", "supervisor"} <= {line.component for line in lines}
    assert [line.time_ns for line in lines] == sorted(line.time_ns for line in lines)
    only = list(stack.target.logs(["engine-0"], since_s=None, follow=False))
    assert {line.component for line in only} == {"engine-0"}


def test_a_port_in_use_is_found_before_anything_is_written(home):
    other = Stack(make_profile("other"))
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(Refused) as caught:
            other.deploy(ports={**other.profile["ports"], "postgres": port})
    assert str(port) in caught.value.message
    assert f"pid {os.getpid()}" in caught.value.message
    assert not layout("other").root.exists()


def test_two_side_by_side_do_not_touch_each_other(stack, home):
    partitions = [{"ranges": ["0-9", "A-G"], "symbols": []}, {"ranges": ["H-Z"], "symbols": []}]
    other = Stack(make_profile("second", partitions=partitions, authentication="api_key"))
    before = stack.pids()
    try:
        with pytest.raises(Refused, match="nginx"):  # the first one's port, named by its owner
            other.deploy(ports={**other.profile["ports"], "http": stack.profile["ports"]["http"]})
        http, postgres, redis = free_ports(3)
        binary = free_neighbours(len(partitions))  # each partition's door is one port further on
        other.profile["ports"] = {"http": http, "binary": binary, "postgres": postgres, "redis": redis}
        outcome = other.deploy()
        assert outcome.result == "ready", outcome
        secret = (layout("second").secrets / "api_key.demo").read_text()
        assert other.order().status_code == 401
        for symbol, partition in (("AAPL", "0"), ("MSFT", "1")):
            body = {
                "client_order_id": symbol,
                "symbol": symbol,
                "side": "buy",
                "type": "limit",
                "price": "1",
                "quantity": "1",
            }
            answer = httpx.post(
                f"{other.target.endpoint()}/orders",
                json={**body, "time_in_force": "GTC"},
                headers={"Authorization": f"Bearer {secret}"},
                timeout=30,
            )
            assert answer.status_code == 201, answer.text
            assert answer.json()["order_id"].startswith(f"{partition}-")
        assert stack.pids() == before
    finally:
        other.destroy(data=True)
    assert other.left_running() == []
    assert not layout("second").root.exists()
    assert stack.pids() == before
    stack.trade()


def test_a_crash_loop_is_a_failure_with_its_reason(stack):
    """Its configuration is broken under it, so that it dies at each start."""
    config = layout(stack.name).config / "redis.conf"
    good = config.read_text()
    config.write_text("port nonsense\n")
    try:
        os.kill(stack.pids()["redis"], signal.SIGKILL)
        answer = stack.until(
            lambda: (now := stack.target.readiness("redis")).answer == "failed" and now, "it is given up for now"
        )
        assert "again and again" in answer.message
    finally:
        config.write_text(good)
    stack.deploy()
    stack.until_ready()


def test_destroy_leaves_nothing_running_and_data_only_when_not_asked(stack):
    place = layout(stack.name)
    stack.destroy(data=False)
    assert stack.left_running() == []
    assert sorted(path.name for path in place.root.iterdir()) == ["data", "secrets"]
    assert control.supervisor_identity(place) is None
    assert stack.deploy().result == "ready", "on the data that was kept"
