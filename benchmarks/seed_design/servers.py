"""Brings the seed design up and down: PostgreSQL, Valkey, N uvicorn workers, nginx.

All but the service is the same as in a deployment of ours: the programs, PostgreSQL's and Valkey's settings (fsync and
synchronous_commit on), and nginx's configuration, in which the workers stand where our gateways would. So each worker is a
process with a Unix socket of its own, and nginx takes the one with the fewest requests; workers that share one listening
socket get very uneven shares of forty kept-alive connections.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis

from benchmarks.harness.measured import Unmeasured
from hftctl.paths import Layout
from hftctl.profile.load import load
from hftctl.targets.local import nginx, servers, services
from hftctl.targets.local.binaries import NGINX, POSTGRES, VALKEY, find, resolve
from tests.faults.stack import ROOT
from tests.ports import free_ports

READY_S_MAX = 30.0
STOP_S_MAX = 20.0
SETTLE_S = 0.2
PASSWORD = "seed"
CONNECTIONS = 40  # to PostgreSQL, over all workers: as many as clients; 20 were slower in every layout
DATABASE = {"user": services.DATABASE_USER, "password": PASSWORD, "host": "127.0.0.1", "database": "postgres"}
TABLE = """
CREATE TABLE orders (
    order_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client_order_id text NOT NULL, account text NOT NULL,
    symbol text NOT NULL, side text NOT NULL, type text NOT NULL, price numeric NOT NULL, quantity numeric NOT NULL,
    time_in_force text NOT NULL, status text NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp())
"""


class Seed:
    """PostgreSQL and Valkey stand as long as this does; `serving(n)` puts workers and nginx in front of them."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.layout = Layout(folder)
        self.port, self._postgres, self._redis = free_ports(3)
        self.groups: dict[str, list[int]] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._environment = dict(environment)
        ports = {"http": self.port, "postgres": self._postgres, "redis": self._redis}
        self._profile = {**load("local").values, "ports": ports}
        for place in (self.layout.run, self.layout.config, self.layout.secrets, self.layout.logs, self.layout.valkey):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(self.layout.secrets / services.POSTGRES_PASSWORD, PASSWORD)
        self._write(self.layout.secrets / servers.VALKEY_SECRET, f"requirepass {PASSWORD}\n")

    def start_stores(self) -> None:
        postgres = servers.postgres(self._profile, self.layout, find(POSTGRES))
        self._write(self.layout.config / "postgres-0.json", json.dumps(postgres["settings"]))
        self._start("postgres", postgres["process"]["argv"], postgres["process"]["env"] | self._environment)
        valkey = servers.valkey(self._profile, self.layout, find(VALKEY))
        self._write(self.layout.config / "redis.conf", "\n".join(valkey["files"]["redis.conf"]) + "\n")
        self._start("redis", valkey["process"]["argv"], {})
        self._until(self._make_table, "PostgreSQL")
        self._until(self._ping, "Valkey")

    @contextmanager
    def serving(self, workers: int, *, pool_reset: bool = True) -> Iterator[None]:
        """Without `pool_reset` asyncpg's pool leaves out what it does by default, a round trip to PostgreSQL after each order
        that resets the connection: nobody's default, but the best that this design can be."""
        stand = len(self._processes)
        settings = {
            "postgres": {**DATABASE, "port": self._postgres},
            "redis": {"host": "127.0.0.1", "port": self._redis, "password": PASSWORD},
            "connections": CONNECTIONS // workers,
            "pool_reset": pool_reset,
        }
        try:
            for number in range(1, workers + 1):
                self._start(
                    f"worker-{number}",
                    [sys.executable, "-m", "uvicorn", "benchmarks.seed_design.app:app", "--loop", "uvloop", "--http", "httptools",
                     "--uds", services.gateway_socket(number), "--no-access-log", "--log-level", "warning",
                     "--timeout-keep-alive", "75", "--backlog", "4096"],
                    {"PYTHONPATH": str(ROOT), "SEED_SETTINGS": json.dumps(settings)},
                )  # fmt: skip
            # As users run it: every worker takes requests.
            profile = {**self._profile, "gateways": workers, "gateways_in_turn": workers}
            door = nginx.spec(profile, self.layout, resolve(NGINX), door=False, processors=os.cpu_count() or 1)
            self._write(self.layout.config / "nginx.conf", "\n".join(door["files"]["nginx.conf"]) + "\n")
            self._start("nginx", door["process"]["argv"], {})
            for number in range(1, workers + 1):
                self._until(lambda number=number: self._answers(number), f"worker {number}")  # type: ignore[misc]
            yield
        finally:
            while len(self._processes) > stand:
                self._stop(self._processes[-1], signal.SIGTERM)
                self._processes.pop()
            self.groups = {name: pids for name, pids in self.groups.items() if name in {"postgres", "redis"}}

    def rows(self) -> int:
        with self._connect() as connection:
            row = connection.execute("SELECT count(*) FROM orders").fetchone()
        return int(row[0]) if row else 0

    def settled(self) -> int:
        """The rows once no more come: a generator that left does not wait for its last answers, the service does."""
        rows = -1
        while rows != (rows := self.rows()):
            time.sleep(SETTLE_S)
        return rows

    def durability(self) -> dict[str, str]:
        with self._connect() as connection:
            return {
                name: str(connection.execute(f"SHOW {name}").fetchone()[0])  # type: ignore[index]
                for name in ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method")
            }

    def stop(self) -> None:
        for process in reversed(self._processes):
            self._stop(process, signal.SIGINT)
        self._processes.clear()

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        with (self.layout.logs / f"{name}.out").open("ab") as out:
            process = subprocess.Popen(
                command, cwd=self.layout.run, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        self.groups.setdefault(name.partition("-")[0], []).append(process.pid)

    @staticmethod
    def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
        process.send_signal(how)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _until(self, ready: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + READY_S_MAX
        while not ready():
            dead = [p for p in self._processes if p.poll() is not None]
            if dead or time.monotonic() > deadline:
                said = "".join(f.read_text()[-300:] for f in sorted(self.layout.logs.iterdir()))
                raise Unmeasured(f"{what} of the seed design did not come up: {said}")
            time.sleep(0.05)

    def _connect(self) -> psycopg.Connection[Any]:
        given = {**DATABASE, "dbname": DATABASE["database"], "port": self._postgres, "connect_timeout": 5}
        return psycopg.connect(**{name: value for name, value in given.items() if name != "database"}, autocommit=True)  # type: ignore[arg-type]

    def _make_table(self) -> bool:
        try:
            with self._connect() as connection:
                connection.execute(TABLE)
        except psycopg.OperationalError:
            return False
        return True

    def _ping(self) -> bool:
        try:
            with redis.Redis(host="127.0.0.1", port=self._redis, password=PASSWORD) as client:
                return bool(client.ping())
        except redis.exceptions.ConnectionError:
            return False

    def _answers(self, number: int) -> bool:
        transport = httpx.HTTPTransport(uds=str(self.layout.run / services.gateway_socket(number)))
        try:
            with httpx.Client(transport=transport, timeout=10) as client:
                return client.get("http://worker/health").status_code == 200
        except httpx.TransportError:
            return False

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)


@contextmanager
def seeded(folder: Path, environment: Mapping[str, str]) -> Iterator[Seed]:
    """`folder` is made and removed. `environment` is PostgreSQL's besides: the place for a slower disk."""
    folder.mkdir(mode=0o700)
    seed = Seed(folder, environment)
    try:
        seed.start_stores()
        yield seed
    finally:
        seed.stop()
        shutil.rmtree(folder, ignore_errors=True)
