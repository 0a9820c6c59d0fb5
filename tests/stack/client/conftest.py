import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.client import Session
from stack.settings import EngineSettings, InstrumentSettings
from tests.ports import free_ports
from tests.stack.matcher.engines import Process

PATIENCE_S = 60.0


class Engine:
    """The real process with a binary door, and sessions at it."""

    def __init__(self, process: Process, port: int) -> None:
        self.process, self.port = process, port
        self.sessions: list[Session] = []

    def start(self) -> None:
        self.process.start()

    def connect(self, **options: object) -> Session:
        """Tries until the door is open: nobody holds this engine's port while it starts."""
        while True:
            try:
                self.sessions.append(Session("127.0.0.1", self.port, timeout_s=PATIENCE_S, **options))  # type: ignore[arg-type]
                return self.sessions[-1]
            except ConnectionRefusedError:
                assert self.process.process is not None
                assert self.process.process.poll() is None, "the engine ended"


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    return EngineSettings(
        deployment="test",
        component="engine-0",
        log_file=str(tmp_path / "engine.log"),
        metrics_dir=str(tmp_path / "metrics"),
        metrics_enabled=False,
        partition=0,
        data_dir=str(tmp_path / "data"),
        link_socket="link.sock",
        admin_socket="admin.sock",
        session_address=f"127.0.0.1:{free_ports(1)[0]}",
        instruments=[
            InstrumentSettings(symbol=symbol, tick_size="0.01", lot_size="1", currency="USD")
            for symbol in ("AAPL", "MSFT", "NVDA", "TSLA")
        ],
        accounts=["alice", "bob", "demo"],
        authentication="none",
        max_live_orders=65536,
        client_ids_max=1 << 18,
        segment_bytes=1 << 20,
        hft_mode=False,
    )


@pytest.fixture
def engine(settings: EngineSettings, tmp_path: Path) -> Iterator[Engine]:
    assert settings.session_address is not None
    found = Engine(Process(settings, tmp_path), int(settings.session_address.rpartition(":")[2]))
    found.start()
    yield found
    for session in found.sessions:
        session.close()
    if found.process.process is not None:
        found.process.end(signal.SIGKILL)
