from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from engine.records import Side
from stack.settings import EngineSettings
from tests.stack.matcher.engines import Process, cancel, new


def test_what_the_engine_did_is_in_its_metrics(process: Process, settings: EngineSettings, tmp_path: Path) -> None:
    async def trade() -> None:
        async with process.link() as link:
            await link.wait_connected(20)
            await link.submit(new("a"))
            await link.submit(new("b", Side.SELL, quantity=2))
            await link.submit(new("a"))
            await link.submit(cancel(999))

    process.settings = replace(settings, metrics_enabled=True)
    process.start()
    asyncio.run(asyncio.wait_for(trade(), 30))
    assert process.end() == 0
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path / "metrics"))
    of = {"partition": "0"}
    expected = {
        "hft_commands_total": 7,
        "hft_events_total": 9,
        "hft_fills_total": 2,
        "hft_repeats_total": 1,
        "hft_live_orders": 1,
        "hft_durable_sequence": 7,
        "hft_halted": 0,
        "hft_unacknowledged_commands": 0,
    }
    assert {name: registry.get_sample_value(name, of) for name in expected} == expected
    assert registry.get_sample_value("hft_refusals_total", {**of, "reason": "unknown_order"}) == 1
    groups = registry.get_sample_value("hft_groups_total", of)
    assert groups == registry.get_sample_value("hft_sync_seconds_count", of)
    assert registry.get_sample_value("hft_group_commands_sum", of) == 7
    assert registry.get_sample_value("hft_decision_latency_seconds_count", of) > 0
