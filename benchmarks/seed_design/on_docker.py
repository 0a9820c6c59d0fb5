"""The seed design on a Docker engine: its workers in the place of a deployment's gateways.

PostgreSQL, Valkey, nginx, their images, limits and networks are those of a deployment by hftctl, so both designs differ in nothing but
the service. A worker is a container of its own with the limits of a gateway; the image of our services has all that it imports.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.harness.measured import Unmeasured
from benchmarks.seed_design.servers import CONNECTIONS, SETTLE_S, TABLE
from hftctl.targets.compose import components, names, services
from hftctl.targets.compose.driver import ComposeTarget
from hftctl.targets.local import nginx as door
from hftctl.targets.local import services as settings

READY_S_MAX = 60.0
APP = "seed_app.py"  # in the volume of configurations, which containers read
STOPPED = ("gateway-", "engine-", "persister-")


class SeedOnDocker:
    """Use as `with SeedOnDocker.instead_of(target, port) as seed`."""

    def __init__(self, target: ComposeTarget, port: int) -> None:
        self._target, self.port = target, port
        self._workers: dict[str, str] = {}  # name -> container
        containers = target.containers
        self._gateway = next(one for one in containers.serving().values() if one.subject == "gateway-1")
        for subject, one in containers.serving().items():
            if subject.startswith(STOPPED):
                containers.stop(one.id, subject)
        with target.store.writer() as keeper:
            keeper.write(f"config/{APP}", Path(__file__).with_name("app.py").read_bytes())
        with self._connect() as connection:
            connection.execute("CREATE SCHEMA seed")  # ours has a view of that name
            connection.execute("SET search_path TO seed")
            connection.execute(TABLE)

    @classmethod
    @contextmanager
    def instead_of(cls, target: ComposeTarget, port: int) -> Iterator[SeedOnDocker]:
        seed = cls(target, port)
        try:
            yield seed
        finally:
            seed._end()

    @property
    def groups(self) -> dict[str, list[int]]:
        containers = self._target.containers
        serving = containers.serving()
        found = {one.subject: one.id for one in serving.values() if not one.subject.startswith(STOPPED)} | self._workers
        pids = {name: containers.inspect(one).get("State", {}).get("Pid", 0) for name, one in found.items()}
        return {name: [pid] for name, pid in pids.items() if pid}

    @contextmanager
    def serving(self, workers: int) -> Iterator[None]:
        try:
            for number in range(1, workers + 1):
                self._start(number, workers)
            self._divide(workers)
            yield
        finally:
            self._end()

    def settled(self) -> int:
        """The rows once no more come."""
        rows = -1
        while rows != (rows := self._rows()):
            time.sleep(SETTLE_S)
        return rows

    def _rows(self) -> int:
        with self._connect() as connection:
            row = connection.execute("SELECT count(*) FROM seed.orders").fetchone()
        return int(row[0]) if row else 0

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(**self._postgres(), autocommit=True)

    def _postgres(self) -> dict[str, Any]:
        """By its bridge: here is no persister to go by, and a benchmark runs where the engine does."""
        containers = self._target.containers
        networks = containers.inspect(containers.serving()["postgres-0"].id)["NetworkSettings"]["Networks"]
        password = (self._target.store.read(f"secrets/{settings.POSTGRES_PASSWORD}") or b"").decode().strip()
        return {
            "host": next(one["IPAddress"] for one in networks.values()), "port": services.POSTGRES_PORT,
            "dbname": settings.DATABASE, "user": settings.DATABASE_USER, "password": password,
        }  # fmt: skip

    def _start(self, number: int, workers: int) -> None:
        api, name = self._target.api, f"worker-{number}"
        spec = self._gateway.spec
        body = copy.deepcopy(components.rendered("gateway-1", spec)[0]) | {"Image": spec["image"]}
        password = self._postgres()["password"]
        redis = self._target.store.read(f"secrets/{settings.REDIS_PASSWORD}") or b""
        wanted = {
            "postgres": {"host": "postgres-0", "port": services.POSTGRES_PORT, "database": settings.DATABASE,
                         "user": settings.DATABASE_USER, "password": password, "server_settings": {"search_path": "seed"}},
            "redis": {"host": "redis", "port": services.REDIS_PORT, "password": redis.decode().strip()},
            "connections": max(1, CONNECTIONS // workers),
            "pool_reset": True,
        }  # fmt: skip
        body["Cmd"] = [
            "-m", "uvicorn", f"{APP.removesuffix('.py')}:app", "--app-dir", "/srv/hftctl/config", "--loop", "uvloop",
            "--http", "httptools", "--uds", settings.gateway_socket(number), "--no-access-log", "--log-level", "warning",
            "--timeout-keep-alive", "75", "--backlog", "4096",
        ]  # fmt: skip
        body["Env"] = [f"SEED_SETTINGS={json.dumps(wanted)}"]
        body["Healthcheck"] = {"Test": ["NONE"]}
        body["Labels"] = {names.DEPLOYMENT: self._target.deployment, names.ROLE: "seed"}
        body.pop("NetworkingConfig", None)
        made = api.create_container_from_config(body, name=names.container(self._target.deployment, name))["Id"]
        self._workers[name] = made
        api.start(made)

    def _divide(self, workers: int) -> None:
        """nginx with all workers in turn, as users run it; then every worker answers."""
        profile = {**self._target.revisions()[-1].release.profile, "gateways": workers, "gateways_in_turn": workers}
        lines, edge = services.nginx(profile, 1)
        with self._target.store.writer() as keeper:
            keeper.write(f"config/{components.FIXED}", ("\n".join(lines) + "\n").encode())
        self._target.reload_nginx()
        self._until(lambda: edge in self._asked(door.EDGE)[1], "nginx")
        for _ in range(2 * workers):
            self._until(lambda: self._asked("/health")[0] == 200, "workers")

    def _asked(self, path: str) -> tuple[int, str]:
        client = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, HTTPException) as error:
            return 0, str(error)
        finally:
            client.close()

    def _until(self, ready: Any, what: str) -> None:
        deadline = time.monotonic() + READY_S_MAX
        while not ready():
            if time.monotonic() > deadline:
                said = [line for one in self._workers.values() for line in self._target.containers.last_lines(one, 2)]
                raise Unmeasured(f"{what} of the seed design did not come up: {' | '.join(said)[-600:]}")
            time.sleep(0.1)

    def _end(self) -> None:
        for one in self._workers.values():
            self._target.containers.take_away(one)
        self._workers.clear()
