from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from engine.records import Side
from stack.matcher.listeners import bind
from stack.settings import EngineSettings
from tests.stack.matcher.door_clients import Client, order, post
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


def test_the_doors_requests_are_counted(process: Process, settings: EngineSettings, tmp_path: Path) -> None:
    pytest.importorskip("stack.door.orders", reason="the extensions are not built")

    async def ask() -> list[int]:
        client = await Client.connect(tmp_path / "o.sock")
        try:
            requests = [post(order("a")), post(order("b")), post(order("c", price="190.251"))]
            return [(await client.ask(request)).status for request in requests]
        finally:
            await client.close()

    process.settings = replace(settings, metrics_enabled=True, order_socket="o.sock")
    with bind(str(tmp_path / "o.sock"), 0o600) as listener:
        handed = json.dumps({"orders": listener.fileno()})
        process.start(pass_fds=[listener.fileno()], environment={"HFTCTL_LISTEN_FDS": handed})
    assert asyncio.run(asyncio.wait_for(ask(), 30)) == [201, 201, 200]
    assert process.end() == 0
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path / "metrics"))
    of = {"partition": "0"}
    assert registry.get_sample_value("hft_door_taken_total", of) == 2
    assert registry.get_sample_value("hft_door_deferred_total", of) == 1
