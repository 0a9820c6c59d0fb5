"""A real engine and a real gateway as processes, and a client of the gateway's socket."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec

from stack.settings import EngineSettings, GatewaySettings, InstrumentSettings, PartitionSettings, Postgres, Redis

ROOT = Path(__file__).parents[3]
START_S = 30.0

INSTRUMENTS = [
    InstrumentSettings(symbol="AAPL", tick_size="0.01", lot_size="1", currency="USD"),
    InstrumentSettings(symbol="BTCUSDT", tick_size="0.01", lot_size="0.00001", currency="USDT"),
    InstrumentSettings(symbol="MSFT", tick_size="0.01", lot_size="1", currency="USD"),
    InstrumentSettings(symbol="NVDA", tick_size="0.01", lot_size="1", currency="USD", state="halted"),
]


class Process:
    """`python -m MODULE --config FILE` in `run`, ready when `ready()` says so."""

    def __init__(self, module: str, run: Path, settings: EngineSettings | GatewaySettings) -> None:
        self._module = module
        self.run = run
        self.settings = settings
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._popen is not None, "not started"
        return self._popen

    def start(self, wait: bool = True, **popen: Any) -> None:
        config = self.run / f"{self.settings.component}.json"
        config.write_bytes(msgspec.json.encode(self.settings))
        self._popen = subprocess.Popen(
            [sys.executable, "-m", self._module, "--config", config.name],
            cwd=self.run, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **popen.pop("env", {})}, **popen,
        )  # fmt: skip
        deadline = time.monotonic() + START_S
        while wait and not self.listening():
            assert self.process.poll() is None, f"{self._module} ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"{self._module} is not ready:\n{self.log()}"
            time.sleep(0.02)

    def listening(self) -> bool:
        return answers(self.run / self.socket)

    @property
    def socket(self) -> str:
        settings = self.settings
        return settings.socket if isinstance(settings, GatewaySettings) else settings.link_socket

    def log(self) -> str:
        path = self.run / self.settings.log_file
        return path.read_text() if path.exists() else ""

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM and the exit code; a process that was stopped by a signal is woken first."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return self.process.wait(20)


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def engine(run: Path, number: int = 0, **changes: Any) -> Process:
    proof = InstrumentSettings(symbol=f"PROOF.{number}", tick_size="1", lot_size="1", currency="USD")
    settings: dict[str, Any] = {
        "deployment": "test",
        "component": f"engine-{number}",
        "log_file": f"engine-{number}.log",
        "metrics_dir": "metrics",
        "partition": number,
        "data_dir": f"partition-{number}",
        "link_socket": f"link-{number}.sock",
        "admin_socket": f"admin-{number}.sock",
        "implementation": "python",
        "instruments": [*INSTRUMENTS, proof],
        "accounts": ["alice", "bob", "load"],
        "authentication": "none",
        "max_live_orders": 1 << 16,
        "client_ids_max": 1 << 16,
        "segment_bytes": 1 << 20,
    }
    return Process("stack.matcher", run, EngineSettings(**{**settings, **changes}))


def gateway(run: Path, postgres: Postgres, redis: Redis, **changes: Any) -> Process:
    settings: dict[str, Any] = {
        "deployment": "test",
        "component": "gateway-0",
        "log_file": "gateway-0.log",
        "metrics_dir": "metrics",
        "socket": "gateway-0.sock",
        "partitions": [PartitionSettings(partition=0, link_socket="link-0.sock", ranges=["0-9", "A-Z"])],
        "map_version": 3,
        "postgres": postgres,
        "redis": redis,
        "authentication": "none",
        "release_file": "release.json",
    }
    return Process("stack.gateway", run, GatewaySettings(**{**settings, **changes}))


class Client:
    """HTTP over the gateway's Unix socket."""

    def __init__(self, gateway: Process, key: str | None = None) -> None:
        transport = httpx.HTTPTransport(uds=str(gateway.run / gateway.socket))
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.Client(transport=transport, base_url="http://gateway", timeout=20, headers=headers)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and decoded body. `bytes` are sent as they are."""
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        response = self.http.request(method, path, content=content)
        return response.status_code, response.json()

    def place(self, **changes: Any) -> tuple[int, Any]:
        return self.call("POST", "/orders", order(**changes))

    def sequence(self) -> int:
        """Of the last command the engine journalled, a query of a book included in none."""
        status, book = self.call("GET", "/book/AAPL")
        assert status == 200, book
        return int(book["sequence"])


def order(**changes: Any) -> dict[str, Any]:
    """A resting limit order, with changes; `...` leaves a member out."""
    whole = {
        "client_order_id": "c-1", "account": "alice", "symbol": "AAPL", "side": "buy", "type": "limit",
        "price": "190.25", "quantity": "10", **changes,
    }  # fmt: skip
    return {name: value for name, value in whole.items() if value is not ...}


NO_POSTGRES = Postgres(host="127.0.0.1", port=1, database="none", user="none", password_file="password")
NO_REDIS = Redis(host="127.0.0.1", port=1, password_file="password")
