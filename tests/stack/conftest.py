"""Real servers for the tests of the services: one PostgreSQL and one Valkey per test session."""

import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest

from stack.schema.migrations import load, migrate
from stack.settings import Postgres
from tests.stack.servers import PostgresServer, ValkeyServer


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _databases(postgres_server: PostgresServer) -> Callable[[bool], str]:
    """Make databases: empty, or as a copy of one that has the schema."""
    numbers = itertools.count(1)
    with psycopg.connect(**postgres_server.arguments("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE with_schema")
    with psycopg.connect(**postgres_server.arguments("with_schema"), autocommit=True) as connection:
        migrate(connection, load())

    def make(migrated: bool) -> str:
        name = f"test_{next(numbers)}"
        with psycopg.connect(**postgres_server.arguments("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {'with_schema' if migrated else 'template0'}")
        return name

    return make


@pytest.fixture
def empty_database(postgres_server: PostgresServer, _databases: Callable[[bool], str]) -> Postgres:
    return postgres_server.settings(_databases(False))


@pytest.fixture
def database(postgres_server: PostgresServer, _databases: Callable[[bool], str]) -> Postgres:
    """A new database with the whole schema."""
    return postgres_server.settings(_databases(True))


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    yield server
    server.kill()
