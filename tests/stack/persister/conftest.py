"""A persister as a process, between the reference engine and a real PostgreSQL."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest

from engine.records import EVENT_BYTES, unpack_events
from stack.persister.rows import COLUMNS, row_of
from stack.schema.__main__ import connect
from stack.settings import PersisterSettings, Postgres
from tests.stack.persister.engine_peer import EnginePeer
from tests.stack.servers import ValkeyServer

DEADLINE_S = 20


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short: a Unix socket's name has room for 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="p") as name:
        yield Path(name)


@pytest.fixture
def peer(folder: Path) -> Iterator[EnginePeer]:
    peer = EnginePeer(folder / "link")
    yield peer
    peer.close()


class Running:
    """A persister's process, and what it has written."""

    def __init__(self, config: Path, settings: PersisterSettings, database: Postgres) -> None:
        self.settings, self.database = settings, database
        self.process = subprocess.Popen([sys.executable, "-m", "stack.persister", "--config", config])

    @property
    def log(self) -> str:
        path = Path(self.settings.log_file)
        return path.read_text() if path.exists() else ""

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the persister did not end:\n{self.log}") from None

    def wait_for(self, holds: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            assert self.process.poll() is None, f"the persister ended with {self.process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"{what} did not come:\n{self.log}"
            time.sleep(0.01)  # another process works: nothing tells us

    def wait_until_written(self, peer: EnginePeer) -> None:
        self.wait_for(lambda: checkpoint(self.database)[0] == peer.engine.sequence, "the last event")


@pytest.fixture
def persister(
    folder: Path, database: Postgres, valkey_server: ValkeyServer, peer: EnginePeer
) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(**changes) -> Running:
        number = len(started)
        fields = {
            "deployment": "test", "component": "persister-0", "log_file": str(folder / f"log-{number}"),
            "metrics_dir": str(folder / "metrics"), "partition": 0, "link_socket": peer.socket, "postgres": database,
            "redis": valkey_server.settings(), "idle_ms": 5, "batch_events": 500, "state_file": str(folder / f"state-{number}"), **changes,
        }  # fmt: skip
        settings = PersisterSettings(**fields)
        config = folder / f"persister-{number}.json"
        config.write_bytes(msgspec.json.encode(settings))
        started.append(Running(config, settings, database))
        return started[-1]

    yield start
    for running in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()


def checkpoint(database: Postgres) -> tuple[int, int]:
    with connect(database) as connection:
        return connection.execute("SELECT sequence, ordinal FROM checkpoint").fetchone() or (0, 0)


def rows(connection: psycopg.Connection) -> list[tuple]:
    names = ", ".join(COLUMNS)
    return connection.execute(f"SELECT {names} FROM events ORDER BY sequence, event_index").fetchall()


def assert_everything_stands_once(database: Postgres, peer: EnginePeer) -> None:
    with connect(database) as connection:
        assert rows(connection) == [row_of(0, event) for event in unpack_events(peer.events)]
    assert checkpoint(database) == (peer.engine.sequence, len(peer.events) // EVENT_BYTES)
