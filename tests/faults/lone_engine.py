"""One engine process by itself, under any environment, and a crowd that trades through its doors."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.records import Command, CommandKind, EventKind, Reason
from stack.settings import EngineSettings, InstrumentSettings
from stack.wire.frames import Outcome
from stack.wire.link import Link, LinkLost
from tests.faults.clients import SYMBOLS, Connection, Crowd
from tests.faults.history import Op, Operation, Result
from tests.faults.stack import ROOT
from tests.ports import free_ports

ACCOUNTS = ("alice", "bob")
RECORD_BYTES, HEADER_BYTES = 144, 4096


class LoneEngine:
    """`folder` holds the configuration, the log and `disk/`, below which the partition's data is."""

    def __init__(self, folder: Path, records_per_segment: int = 60, **settings: Any) -> None:
        self.folder = folder
        self.disk = folder / "disk"
        self.data = self.disk / "data" / "partition-0"
        self.process: subprocess.Popen[bytes] | None = None
        (self.port,) = free_ports(1)
        given: dict[str, Any] = {
            "deployment": "test", "component": "engine-0", "log_file": "engine.log", "metrics_dir": "metrics",
            "metrics_enabled": False, "partition": 0, "data_dir": "disk/data/partition-0", "link_socket": "link",
            "admin_socket": "admin", "order_socket": f"127.0.0.1:{self.port}", "accounts": list(ACCOUNTS),
            "instruments": [
                InstrumentSettings(symbol=symbol, tick_size=tick, lot_size="1", currency="USD")
                for symbol, (tick, _) in SYMBOLS.items()
            ],
            "authentication": "none", "max_live_orders": 1 << 14, "client_ids_max": 1 << 14, "hft_mode": False,
            "segment_bytes": HEADER_BYTES + records_per_segment * RECORD_BYTES,
        }  # fmt: skip
        self.settings = EngineSettings(**(given | settings))
        self.disk.mkdir(parents=True, exist_ok=True)

    def start(self, environment: Mapping[str, str] | None = None, **options: Any) -> None:
        (self.folder / "engine.json").write_bytes(msgspec.json.encode(self.settings))
        with (self.folder / "engine.err").open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stack.matcher", "--config", "engine.json"],
                cwd=self.folder, env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}, stderr=err, **options,
            )  # fmt: skip

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 30.0) -> int:
        assert self.process is not None
        if self.running:
            self.process.send_signal(number)
        return self.process.wait(timeout_s)

    def link(self, client: str = "test") -> Link:
        return Link(str(self.folder / "link"), client)

    async def connected(self, link: Link, timeout_s: float = 60.0) -> bool:
        """False when the engine ended before it listened."""
        deadline = time.monotonic() + timeout_s
        while not link.connected:
            if not self.running:
                return False
            if time.monotonic() > deadline:
                raise TimeoutError(f"the engine did not answer within {timeout_s} s: {self.said()[-3:]}")
            await asyncio.sleep(0.005)
        return True

    def said(self, *levels: str) -> list[str]:
        """What it logged at these levels, or at all."""
        log = self.folder / "engine.log"
        lines = map(msgspec.json.decode, log.read_bytes().splitlines()) if log.exists() else ()
        return [line["message"] for line in lines if not levels or line["level"] in levels]


class LoneCrowd(Crowd):
    """Orders through the HTTP door; cancels through the link, because that door passes them on to a gateway."""

    def __init__(self, engine: LoneEngine, link: Link, seed: int, position: Callable[[], int] = lambda: 0) -> None:
        super().__init__(engine.port, seed, ACCOUNTS)
        self.engine, self.link, self.position = engine, link, position

    @property
    def acknowledged(self) -> int:
        return sum(operation.result is Result.OK for operation in self.history)

    async def trade(self, clients: int, enough: int, *, kill: bool = True) -> None:
        """Until `enough` acknowledgements came, and then kill the engine; or until it is gone."""
        running = asyncio.ensure_future(self.run(clients))
        while not running.done() and self.engine.running and self.acknowledged < enough:
            await asyncio.sleep(0.005)
        self.stopping = True
        if kill and self.engine.running:
            self.engine.end(signal.SIGKILL)
        await running

    async def ask_again(self, told: list[Operation]) -> list[str]:
        """Each of these orders once more, word for word; what was answered otherwise than then."""
        connection, wrong = Connection(self.port), []
        for earlier in told:
            again = Operation(Op.PLACE, earlier.client_order_id, earlier.account, earlier.symbol, 0, body=earlier.body)
            done = await self._attempt(connection, again)
            if (done.status, done.order_id) != (200, earlier.order_id):
                wrong.append(f"{earlier.client_order_id} was {earlier.order_id}, now {done.status} {done.response}")
        connection.close()
        return wrong

    async def _attempt(self, connection: Any, operation: Operation) -> Operation:
        if operation.op is Op.PLACE:
            done = await super()._attempt(connection, operation)
        else:
            done = await self._cancel(operation)
        if done.completed_ns is not None:
            done.recorded_at = self.position()
        return done

    async def _cancel(self, operation: Operation) -> Operation:
        operation.invoked_ns = time.monotonic_ns()
        self.history.append(operation)
        command = Command(
            CommandKind.CANCEL,
            account=1 + ACCOUNTS.index(operation.account),
            target=int(operation.order_id.split("-")[1]),
        )
        try:
            reply = await asyncio.wait_for(self.link.submit(command.pack()), 15)
        except (LinkLost, TimeoutError):
            return operation
        operation.completed_ns = time.monotonic_ns()
        operation.result = Result.FAILED
        if reply.outcome == Outcome.DONE:
            kinds = [(event.kind, event.reason) for event in reply.events]
            cancelled = any(kind == EventKind.CANCELLED and why != Reason.UNFILLED_REST for kind, why in kinds)
            operation.result = Result.OK if cancelled else Result.FAILED
            operation.status = 200 if cancelled else 409
        return operation
