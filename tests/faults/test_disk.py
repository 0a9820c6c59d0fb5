"""The engine on a disk that fails: killed at its nth sync or write, write errors, short writes, writes that never happened.

The shim puts the faults under a real engine process. Whatever happens, the ledger of what was acknowledged
must agree with the next start: the same orders under the same ids, no sequence twice, no gap.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stack.settings import EngineSettings, InstrumentSettings
from stack.wire.frames import Outcome
from stack.wire.link import Link, LinkLost
from tests.faults import shim
from tests.stack.matcher.engines import ROOT, new

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(shim.missing()), reason=shim.missing()),
]
DEFINITIONS = 3
EXIT_FAILED, EXIT_DAMAGED = 1, 10
JOURNAL = "00000001.journal"


class Engine:
    """Starts over and over on one data folder; `acknowledged` outlives every death."""

    def __init__(self, folder: Path, records_per_segment: int) -> None:
        self.folder = folder
        self.settings = EngineSettings(
            deployment="test", component="engine-0", log_file="engine.log", metrics_dir="metrics", metrics_enabled=False,
            partition=0, data_dir="data", link_socket="link", admin_socket="admin", accounts=["alice", "bob"],
            instruments=[InstrumentSettings(symbol="AAPL", tick_size="0.01", lot_size="1", currency="USD")],
            authentication="none", max_live_orders=1 << 14, client_ids_max=1 << 14,
            segment_bytes=4096 + records_per_segment * 144,
        )  # fmt: skip
        (folder / "engine.json").write_bytes(msgspec.json.encode(self.settings))
        self.fired = folder / "fired"
        self.sent: list[str] = []
        self.acknowledged: dict[str, int] = {}

    def start(self, fault: str = "", only: str = "") -> None:
        self.fired.unlink(missing_ok=True)
        faulty = shim.environment(self.folder / "data", fault=fault, only=only, fired=self.fired) if fault else {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stack.matcher", "--config", "engine.json"],
            cwd=self.folder, env={**os.environ, "PYTHONPATH": str(ROOT), **faulty}, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def work(self, count: int, clients: int = 6) -> bool:
        """Orders until `count` more are acknowledged (True), or the engine is lost."""
        return asyncio.run(asyncio.wait_for(self._work(count, clients), 60))

    async def _work(self, count: int, clients: int) -> bool:
        async with Link(str(self.folder / "link"), "test") as link:
            while not link.connected:
                if self.process.poll() is not None:
                    return False
                await asyncio.sleep(0.01)
            for name in self.sent[-20:]:
                if not await self._send(link, name):
                    return False
            enough = len(self.acknowledged) + count

            async def client() -> bool:
                while len(self.acknowledged) < enough:
                    self.sent.append(f"o{len(self.sent)}")
                    if not await self._send(link, self.sent[-1]):
                        return False
                return True

            return all(await asyncio.gather(*(client() for _ in range(clients))))

    async def _send(self, link: Link, name: str) -> bool:
        try:
            reply = await link.submit(new(name, price=1 + int(name[1:]) % 900))
        except LinkLost:
            return False
        if reply.outcome == Outcome.STOPPED:
            return False
        assert reply.outcome in (Outcome.DONE, Outcome.REPEAT)
        order = reply.events[0].order
        assert self.acknowledged.setdefault(name, order) == order, f"{name} was acknowledged as another order"
        return True

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)

    def critical(self) -> list[str]:
        lines = map(json.loads, (self.folder / "engine.log").read_text().splitlines())
        return [line["message"] for line in lines if line["level"] == "critical"]

    def check(self) -> None:
        """A clean start: everything acknowledged is there, as itself, and every sequence is one resting order."""
        self.start()
        asyncio.run(asyncio.wait_for(self._check(), 60))
        assert self.end() == 0
        assert len(set(self.acknowledged.values())) == len(self.acknowledged)

    async def _check(self) -> None:
        async with Link(str(self.folder / "link"), "test") as link:
            await link.wait_connected(20)
            before = (await link.query("status")).document
            assert before["live_orders"] == before["sequence"] - DEFINITIONS
            for name in self.acknowledged:
                assert await self._send(link, name)
            assert (await link.query("status")).document["sequence"] == before["sequence"]


@pytest.fixture
def engine(tmp_path: Path, records_per_segment: int) -> Iterator[Engine]:
    engine = Engine(tmp_path, records_per_segment)
    yield engine
    engine.end(signal.SIGKILL)


@pytest.fixture
def records_per_segment() -> int:
    return 40


def test_killed_at_any_sync_or_write_of_work_and_recovery_it_keeps_what_it_acknowledged(engine: Engine) -> None:
    chance, died = random.Random(1), 0
    for call, at in [
        (call, at) for call in ("fdatasync", "write", "fsync") for at in (1, 2, 3, 5, 8, 13, 30) if call != "fsync" or at < 4
    ]:  # fmt: skip
        engine.start(f"{call}:{at}:before")
        engine.work(chance.randrange(40, 120))
        died += engine.end() == -signal.SIGKILL
    assert died >= 14, f"only {died} of 17 were killed: the faults no longer hit"
    engine.check()
    assert len(engine.acknowledged) > 100


@pytest.mark.parametrize(
    "fault", ["fdatasync:{}:errno:5", "write:{}:errno:28", "write:{}:short:1"], ids=["EIO", "ENOSPC", "short"]
)
def test_a_failed_write_or_sync_ends_the_engine_and_the_next_start_knows_the_truth(engine: Engine, fault: str) -> None:
    for at in (12, 21):
        engine.start(fault.format(at), only=".journal")
        assert not engine.work(2000)
        assert engine.process.wait(20) == EXIT_FAILED
        assert engine.fired.exists()
    for said in engine.critical():
        assert said.startswith("stopping for good: ")
        assert "data/" in said, "which file?"
    assert len(engine.critical()) == 2
    engine.check()


@pytest.mark.parametrize(("records_per_segment", "at"), [(1000, 8), (1000, 40)], ids=["inside", "last"])
def test_a_write_that_never_happened_is_found_by_the_next_start(engine: Engine, at: int) -> None:
    """The disk says yes and writes nothing. The last record missing would look like a torn tail without the watermark."""
    engine.start()
    assert engine.work(1, clients=1)
    assert engine.end() == 0
    # The start writes a watermark; then each order of the one client is a record of 144 bytes and a watermark.
    engine.start(f"write:{at}:phantom", only=JOURNAL)
    assert engine.work(20, clients=1)
    engine.end(signal.SIGKILL)
    assert engine.fired.exists()
    before = (engine.folder / "data/journal" / JOURNAL).read_bytes()
    engine.start()
    assert engine.process.wait(20) == EXIT_DAMAGED
    assert "was synced" in engine.critical()[-1] and "00000001.journal offset" in engine.critical()[-1]
    assert (engine.folder / "data/journal" / JOURNAL).read_bytes() == before


@pytest.mark.parametrize("records_per_segment", [1000])
def test_a_repair_that_is_written_short_refuses_the_start(engine: Engine) -> None:
    engine.start()
    assert engine.work(20)
    assert engine.end() == 0
    with (engine.folder / "data/journal" / JOURNAL).open("r+b") as file:
        end = 4096 + -(-len(file.read()[4096:].rstrip(b"\0")) // 144) * 144
        file.seek(end)
        file.write(b"\x90" + b"torn" * 30)
    for at in (1, 2):  # the torn tail, the watermark
        engine.start(f"write:{at}:short:1", only=JOURNAL)
        assert engine.process.wait(20) == EXIT_FAILED
        assert "wrote 1 of" in engine.critical()[-1] and "00000001.journal" in engine.critical()[-1]
    engine.check()
