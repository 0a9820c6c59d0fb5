"""One whole stack on this machine, brought up once for all tests here: real PostgreSQL, Valkey, nginx, our services."""

import itertools
import os
import signal
import time
from dataclasses import dataclass, field

import httpx
import psycopg
import pytest

from hftctl.operations.deploy import deploy
from hftctl.operations.running import destroy, start, stop
from hftctl.paths import layout
from hftctl.profile.load import load
from hftctl.targets.local import LocalTarget
from hftctl.targets.local.identity import facts, processes, working_directory
from tests.ports import free_ports

PATIENCE_S = 30.0


def make_profile(name, **changes):
    """`local`, on free ports, with small tables: prefaulting large ones takes longer than the tests."""
    values = load("local").values
    http, binary, postgres, redis = free_ports(4)
    engine = {**values["engine"], "max_live_orders": 4096, "client_ids_max": 16384, "segment_bytes": 1 << 20}
    ports = {"http": http, "binary": binary, "postgres": postgres, "redis": redis}
    return {**values, "name": name, "ports": ports, "engine": engine, **changes}


@dataclass
class Stack:
    profile: dict
    ids: itertools.count = field(default_factory=itertools.count)

    @property
    def name(self):
        return self.profile["name"]

    @property
    def target(self):
        return LocalTarget(self.name)

    def deploy(self, **changes):
        self.profile = {**self.profile, **changes}
        return deploy(self.profile, no_build=True)

    def start(self):
        return start(self.name)

    def stop(self):
        return stop(self.name)

    def destroy(self, *, data=True):
        return destroy(self.name, data=data)

    def pids(self):
        return {component.component: component.pid for component in self.target.status()}

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            assert time.monotonic() < deadline, f"waited for: {what}; there is {self.target.status()}"
            time.sleep(0.02)
        return found

    def until_ready(self):
        self.until(lambda: all(component.ready for component in self.target.status()), "all are ready")

    def order(self, **fields):
        body = {
            "client_order_id": f"t-{os.getpid()}-{next(self.ids)}",
            "account": "demo",
            "symbol": "AAPL",
            "side": "buy",
            "type": "limit",
            "price": "10.00",
            "quantity": "1",
            "time_in_force": "GTC",
            **fields,
        }
        return httpx.post(f"{self.target.endpoint()}/orders", json=body, timeout=30)

    def trade(self):
        """Two orders that meet; the ids of both."""
        found = [self.order(account=account, side=side) for account, side in (("alice", "sell"), ("bob", "buy"))]
        assert [answer.status_code for answer in found] == [201, 201], [answer.text for answer in found]
        assert found[1].json()["status"] == "filled"
        return [answer.json()["order_id"] for answer in found]

    def read(self, order_id):
        answer = httpx.get(f"{self.target.endpoint()}/orders/{order_id}", timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self, order_id):
        """The order's fills in PostgreSQL."""
        partition, _, sequence = order_id.partition("-")
        with psycopg.connect(**self.target.postgres(int(partition))) as connection:
            return connection.execute(
                "SELECT trade FROM events WHERE partition = %s AND order_sequence = %s AND trade <> 0",
                (int(partition), int(sequence)),
            ).fetchall()

    def kill(self, component):
        pid = self.pids()[component]
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: facts(pid) is None, f"{component} is dead")
        return pid

    def left_running(self):
        root = layout(self.name).root.resolve()
        where = {pid: working_directory(pid) for pid in processes()}
        return [pid for pid, folder in where.items() if folder is not None and folder.is_relative_to(root)]


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A state home of our own; its path is longer than a Unix address may be."""
    folder = tmp_path_factory.mktemp("a-long-name-" * 8)
    before = os.environ.get("HFTCTL_HOME")
    os.environ["HFTCTL_HOME"] = str(folder)
    yield folder
    if before is None:
        del os.environ["HFTCTL_HOME"]
    else:
        os.environ["HFTCTL_HOME"] = before


@pytest.fixture(scope="session")
def stack(home):
    stack = Stack(make_profile("paper"))
    try:
        result = stack.deploy()
        assert result.result == "ready", result
        yield stack
    finally:
        target = stack.target
        target.stop()
        target.remove(data=True)
