import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.settings import EngineSettings, InstrumentSettings
from tests.stack.matcher.engines import IMPLEMENTATIONS, Process


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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
        implementation="python",
        instruments=[
            InstrumentSettings(symbol="AAPL", tick_size="0.01", lot_size="1", currency="USD"),
            InstrumentSettings(symbol="BTCUSD", tick_size="0.01", lot_size="0.00000001", currency="USD"),
        ],
        accounts=["alice", "bob"],
        authentication="none",
        max_live_orders=4096,
        client_ids_max=4096,
        segment_bytes=1 << 16,
    )


@pytest.fixture
def process(settings: EngineSettings, tmp_path: Path) -> Iterator[Process]:
    run = Process(settings, tmp_path)
    yield run
    if run.process is not None:
        run.end(signal.SIGKILL)
