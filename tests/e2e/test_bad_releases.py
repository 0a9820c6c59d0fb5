"""Releases that cannot work, on a real stack: taken back by themselves, the true cause first, and nobody's request failed."""

import copy
import socket
import threading
from contextlib import contextmanager

import httpx
import psycopg
import pytest

from hftctl.operations.changing import restart
from hftctl.operations.deploy import deploy
from hftctl.targets.local import LocalTarget
from tests.ports import free_ports

pytestmark = pytest.mark.stack

STARVED = (
    "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_AS, (40 << 20, 40 << 20)); "
    "runpy.run_module('stack.gateway', run_name='__main__')"
)


class Spoiled(LocalTarget):
    """Wants something else than its release says, as a release with a mistake in it would."""

    def __init__(self, deployment, subject, spoil):
        super().__init__(deployment)
        self.subject, self.spoil = subject, spoil

    def desired(self, release):
        wanted = copy.deepcopy(dict(super().desired(release)))
        self.spoil(wanted[self.subject])
        return wanted


@pytest.fixture
def tried(stack):
    """Deploys a profile with a mistake while a client trades and reads; nothing of what that client asked may fail."""
    stack.until_ready()

    def run(subject, spoil, **options):
        before = stack.pids()
        with _client(stack) as answers:
            profile = {**stack.profile, "log_level": "warning"}
            result = deploy(profile, targets=lambda _t, name: Spoiled(name, subject, spoil), no_build=True, **options)
        assert (result.result, result.error.exit_code) == ("reverted", 1), result
        assert result.cause in result.error.message.splitlines()[0]
        assert answers
        assert {answer for answer in answers if answer not in (200, 201)} == set()
        assert stack.deploy().plan.pending == (), "what stood before stands"
        assert stack.pids()[subject] == before[subject] if subject in before else True
        stack.trade()
        return result

    return run


@contextmanager
def _client(stack):
    answers, stop = [], threading.Event()

    def ask():
        with httpx.Client(base_url=stack.target.endpoint(), timeout=30) as client:
            while not stop.is_set():
                answers.append(client.get("/book/AAPL").status_code)
                answers.append(stack.order(symbol="ETHUSD").status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


def test_a_crash_at_start_is_given_up_with_its_last_words(tried):
    def spoil(spec):
        spec["process"]["argv"] = [
            spec["process"]["argv"][0],
            "-c",
            "raise SystemExit('cannot import name order_book')",
        ]

    result = tried("gateway-1", spoil)
    assert result.cause.startswith(
        "gateway-1 was not replaced, the one before goes on: the new one died (exit status 1)"
    )
    assert "cannot import name order_book" in result.cause
    assert any("cannot import name order_book" in line for line in result.evidence)


def test_a_wrong_setting_is_named_and_not_tried_twice(tried):
    result = tried("gateway-1", lambda spec: spec["settings"].update(max_held="many"))
    assert "exit status 2" in result.cause
    assert "max_held" in result.cause


def test_too_little_memory_is_told_by_what_it_said(tried):
    def spoil(spec):
        spec["process"]["argv"][2:4] = ["-c", STARVED]

    result = tried("gateway-1", spoil)
    assert "gateway-1 was not replaced" in result.cause


def test_one_that_never_gets_ready_is_given_up_when_its_time_is_up(tried):
    def spoil(spec):
        spec["settings"]["partitions"][0]["link_socket"] = "nowhere.sock"

    result = tried("gateway-1", spoil, timeout_s=8)
    assert result.cause.startswith("gateway-1: not ready after 8 s: ")
    assert "it said: " in result.cause
    assert "waits for engines at nowhere.sock" in result.cause, "what keeps it stands in the first line"
    assert any("nowhere.sock" in line for line in result.evidence), result.evidence


def test_a_restart_whose_next_process_never_gets_ready_ends_and_keeps_the_one_before(stack):
    def spoil(spec):
        spec["settings"]["partitions"][0]["link_socket"] = "nowhere.sock"

    stack.until_ready()
    before = stack.pids()["gateway-1"]
    with _client(stack) as answers:
        result = restart(
            stack.target.deployment,
            ["gateway-1"],
            targets=lambda _t, name: Spoiled(name, "gateway-1", spoil),
            timeout_s=8,
        )
    assert (result.result, result.error.exit_code) == ("failed", 4)
    assert result.cause.startswith("gateway-1: not ready after 8 s: ")
    assert "waits for engines at nowhere.sock" in result.error.message.splitlines()[0]
    assert set(answers) <= {200, 201}
    assert stack.deploy().result == "ready"
    assert stack.pids()["gateway-1"] == before, "it was never touched, and the one beside it is gone"
    stack.trade()


def test_a_port_that_is_refused_is_named_and_nginx_goes_on(tried, stack):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = str(stranger.getsockname()[1])
        ours = str(stack.profile["ports"]["http"])

        def spoil(spec):
            spec["files"]["nginx.conf"] = [
                line.replace(f":{ours} ", f":{taken} ") for line in spec["files"]["nginx.conf"]
            ]
            spec["process"]["listens"] = {"http": f"127.0.0.1:{taken}"}

        result = tried("nginx", spoil)
    assert f"127.0.0.1:{taken}" in result.cause
    assert "Address already in use" in result.cause


@contextmanager
def migrated(stack, *, needs):
    """As a later release has left it."""
    with psycopg.connect(**stack.target.postgres(0), autocommit=True) as connection:
        connection.execute("INSERT INTO schema_versions VALUES (99, 'V0099__of_tomorrow', 'x', default, %s)", (needs,))
        try:
            yield
        finally:
            connection.execute("DELETE FROM schema_versions WHERE version = 99")


def test_a_schema_that_took_away_what_the_code_reads_is_told_and_left_alone(tried, stack):
    with migrated(stack, needs=98):
        result = tried("schema-0", lambda spec: spec.update(schema={"needs": 98, "brings": 99}))
    assert "V0099__of_tomorrow" in result.cause
    assert "took away what releases before V0098 read" in result.cause


def test_on_a_schema_that_a_later_release_added_to_the_code_works(stack):
    with migrated(stack, needs=0):
        (stack.target.layout.postgres(0) / "hftctl-schema.json").unlink()  # as if it was brought there by another code
        assert stack.deploy().result == "ready"
    stack.trade()


def test_an_engine_that_refuses_its_settings_is_not_started_for_ever(stack):
    """It cannot run beside the one it replaces: orders wait until the one before is back, and are taken then."""
    stack.until_ready()
    with _client(stack) as answers:
        result = stack_deploy(stack, engine={**stack.profile["engine"], "max_live_orders": 8192})
    assert result.result == "reverted"
    assert result.cause.startswith("engine-0 ended for good: exit status 2, it cannot work with its settings")
    assert "max_live_orders" in result.cause
    assert set(answers) <= {200, 201}, "they waited in the socket's backlog"
    stack.trade()


def stack_deploy(stack, **changes):
    return deploy({**stack.profile, **changes}, no_build=True)


def test_another_port_is_a_change_that_moves_the_door(stack):
    before = stack.profile["ports"]
    [port] = free_ports(1)
    assert stack.deploy(ports={**before, "http": port}).result == "ready"
    stack.trade()
    assert stack.deploy(ports=before).result == "ready"
    stack.trade()
