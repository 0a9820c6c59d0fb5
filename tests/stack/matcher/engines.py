"""Engines to test against: the partition in this process, or the real process on its sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

import engine
from engine.records import Command, CommandKind, Event, OrderType, Side, TimeInForce, unpack_events
from stack.matcher.definitions import missing
from stack.matcher.partition import Partition
from stack.matcher.start import lock_data, open_partition
from stack.settings import EngineSettings
from stack.wire.frames import Outcome
from stack.wire.link import Link

ROOT = Path(__file__).resolve().parents[3]
IMPLEMENTATIONS = [name for name, why_not in engine.implementations().items() if not why_not]


def new(text: str, side: Side = Side.BUY, price: int = 10_000, quantity: int = 5, **fields: int) -> bytes:
    values = {"account": 1, "symbol": 1, "type": OrderType.LIMIT, "tif": TimeInForce.GTC, **fields}
    return Command(CommandKind.NEW, side=side, price=price, quantity=quantity, text=text.encode(), **values).pack()


def cancel(target: int, account: int = 1) -> bytes:
    return Command(CommandKind.CANCEL, account=account, target=target).pack()


class Taken:
    """A reply target that keeps what it is told."""

    def __init__(self) -> None:
        self.future: asyncio.Future[tuple[int, list[Event]]] = asyncio.get_running_loop().create_future()

    def reply(self, _token: int, outcome: int, events: bytes) -> None:
        self.future.set_result((outcome, unpack_events(events)))

    def lost(self, _token: int) -> None:
        self.future.set_exception(ConnectionAbortedError("lost"))


def submit(partition: Partition, command: bytes) -> asyncio.Future[tuple[int, list[Event]]]:
    taken = Taken()
    partition.submit(command, taken, 0)
    return taken.future


async def opened(settings: EngineSettings, failures: list[str] | None = None) -> Partition:
    """A partition over the settings' data folder, its definitions journalled."""
    told = failures if failures is not None else []
    partition = open_partition(settings, told.append)
    for command in missing(partition.tables, settings.instruments, settings.accounts):
        assert (await submit(partition, command))[0] == Outcome.DONE
    return partition


def with_partition(
    settings: EngineSettings, test: Callable[[Partition], Coroutine[Any, Any, Any]], failures: list[str] | None = None
) -> Any:
    """Run `test` on an open partition, then close it."""

    async def run() -> Any:
        partition = await opened(settings, failures)
        try:
            return await test(partition)
        finally:
            await partition.close()
            partition.log.close()

    with lock_data(Path(settings.data_dir)):
        return asyncio.run(asyncio.wait_for(run(), 60))


class Process:
    """`python -m stack.matcher` as it is deployed, with its own working directory."""

    def __init__(self, settings: EngineSettings, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "engine.json"
        self.settings = settings
        self.process: subprocess.Popen[str] | None = None

    def start(self, **options: Any) -> subprocess.Popen[str]:
        self.config.write_bytes(msgspec.json.encode(self.settings))
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("environment", {})}
        environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stack.matcher", "--config", str(self.config)],
            cwd=self.folder, env=environment, stderr=subprocess.PIPE, text=True, **options,
        )  # fmt: skip
        return self.process

    def link(self, client: str = "test") -> Link:
        return Link(str(self.folder / self.settings.link_socket), client)

    def end(self, signal_number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        code = self.process.wait(20)
        if self.process.stderr is not None:
            self.process.stderr.close()
        self.process = None
        return code

    def log(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in Path(self.settings.log_file).read_bytes().splitlines()]
