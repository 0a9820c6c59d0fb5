"""One stack for all tests that leave nothing behind, and single parts for those that break them."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.settings import Postgres, Redis
from tests.stack.gateway.processes import Client, Process, engine, gateway
from tests.stack.servers import PostgresServer, ValkeyServer


@pytest.fixture(scope="session")
def shared_database(postgres_server: PostgresServer, _databases: Callable[[bool], str]) -> Postgres:
    return postgres_server.settings(_databases(True))


@pytest.fixture(scope="session")
def shared_redis(valkey_server: ValkeyServer) -> Redis:
    return valkey_server.settings()


@pytest.fixture(scope="session")
def shared_gateway(shared_database: Postgres, shared_redis: Redis) -> Iterator[Process]:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)  # short: a Unix address has 107 bytes
        parts = [engine(run), gateway(run, shared_database, shared_redis)]
        for part in parts:
            part.start()
        yield parts[1]
        assert [part.stop() for part in reversed(parts)] == [0, 0]


@pytest.fixture
def client(shared_gateway: Process) -> Iterator[Client]:
    with Client(shared_gateway) as client:
        yield client
        for account in ("alice", "bob"):
            assert client.call("DELETE", f"/orders?account={account}")[0] == 200


_ids = itertools.count(1)


@pytest.fixture
def new_id() -> Callable[[], str]:
    return lambda: f"t-{next(_ids)}"


@pytest.fixture
def run() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def started() -> Iterator[Callable[[Process], Process]]:
    """Starts processes that end with the test, whatever happened to them."""
    parts: list[Process] = []

    def start(part: Process) -> Process:
        parts.append(part)
        part.start()
        return part

    yield start
    for part in reversed(parts):
        part.stop()
