"""When decisions count as slow, and who is told."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from stack.matcher.latency import SAMPLES_MIN, WINDOW_S, DecisionLatency
from stack.settings import EngineSettings
from tests.stack.matcher.engines import Process, new
from tests.stack.matcher.test_process import ask_admin


def fed(latency: DecisionLatency, fast: int, slow: int) -> DecisionLatency:
    for _ in range(fast):
        latency.add(50_000)
    for _ in range(slow):
        latency.add(300_001)
    return latency


def test_one_in_a_hundred_may_be_slow_and_no_more() -> None:
    latency = fed(DecisionLatency(300, 1.0), 990, 10)
    latency.judge(0.5)
    assert (latency.exceeded, latency.p99_us, latency.samples) == (False, 50, 1000)
    latency = fed(DecisionLatency(300, 1.0), 989, 11)
    latency.judge(0.5)
    assert (latency.exceeded, latency.p99_us) == (True, 301), "300.001 us is more than 300 us"
    latency = fed(DecisionLatency(301, 1.0), 989, 11)
    latency.judge(0.5)
    assert not latency.exceeded


def test_fewer_than_a_thousand_samples_say_nothing() -> None:
    latency = fed(DecisionLatency(200, 1.0), 0, SAMPLES_MIN - 1)
    latency.judge(0.5)
    assert (latency.exceeded, latency.p99_us) == (False, None)
    fed(latency, 0, 1).judge(1.0)
    assert latency.exceeded


def test_what_is_older_than_the_window_is_forgotten() -> None:
    latency = fed(DecisionLatency(200, 1.0), 0, SAMPLES_MIN)
    latency.judge(1.0)
    latency.judge(1.0 + WINDOW_S - 0.1)
    assert latency.exceeded
    latency.judge(1.0 + WINDOW_S)
    assert (latency.exceeded, latency.samples) == (False, 0)


def test_each_change_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    latency = DecisionLatency(200, 1.0)
    with caplog.at_level(logging.INFO, "stack.matcher.latency"):
        for now in range(4):
            fed(latency, 0, SAMPLES_MIN).judge(now)
        latency.judge(100.0)
        latency.judge(101.0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert caplog.records[0].fields["p99_us"] == 301  # type: ignore[attr-defined]


def test_the_sample_rate_is_respected() -> None:
    latency = fed(DecisionLatency(200, 0.5), 0, 10_000)
    latency.judge(0.5)
    assert 4_000 < latency.samples < 6_000
    assert not DecisionLatency(200, 0.0).measures


@pytest.mark.parametrize("rate", [1.0, 0.0])
def test_an_engine_says_so_in_its_status_its_log_and_its_metrics(
    process: Process, settings: EngineSettings, tmp_path: Path, rate: float
) -> None:
    process.settings = replace(settings, metrics_enabled=True, max_latency_us=1, latency_sample_rate=rate)

    async def trade() -> dict[str, object]:
        async with process.link() as link:
            await link.wait_connected(20)
            await asyncio.gather(*(link.submit(new(f"o-{number}")) for number in range(SAMPLES_MIN)))
            while True:
                found = await asyncio.to_thread(ask_admin, process, command="status")
                if rate == 0 or found["decision_latency"]["exceeded"]:
                    return found["decision_latency"]

    process.start()
    found = asyncio.run(asyncio.wait_for(trade(), 30))
    assert process.end() == 0
    told = [line for line in process.log() if line["message"].startswith("decisions are slow")]
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path / "metrics"))
    gauge = registry.get_sample_value("hft_decision_latency_exceeded", {"partition": "0"})
    if rate:
        assert found["samples"] >= SAMPLES_MIN and found["p99_us"] > found["max_us"] == 1
        assert len(told) == 1 and told[0]["fields"]["max_latency_us"] == 1
        assert gauge == 1
    else:
        assert found == {"exceeded": False, "p99_us": None, "max_us": 1, "samples": 0}
        assert (told, gauge) == ([], 0)
