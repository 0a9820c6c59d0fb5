from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from engine.records import Side
from stack.client import Batch, Session
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


def test_what_came_by_each_door_is_counted(process: Process, settings: EngineSettings, tmp_path: Path) -> None:
    pytest.importorskip("stack.door.orders", reason="the extensions are not built")

    async def ask() -> list[int]:
        client = await Client.connect(tmp_path / "o.sock")
        try:
            requests = [post(order("a")), post(order("b")), post(order("c", price="190.251"))]
            return [(await client.ask(request)).status for request in requests]
        finally:
            await client.close()

    process.settings = replace(settings, metrics_enabled=True, order_socket="o.sock", session_address="127.0.0.1:0")
    with bind(str(tmp_path / "o.sock"), 0o600) as listener, bind("127.0.0.1:0", 0o600) as by_sessions:
        port = by_sessions.getsockname()[1]
        fds = {"orders": listener.fileno(), "sessions": by_sessions.fileno()}
        process.start(pass_fds=list(fds.values()), environment={"HFTCTL_LISTEN_FDS": json.dumps(fds)})
    assert asyncio.run(asyncio.wait_for(ask(), 30)) == [201, 201, 200]
    batch = Batch(3)
    for name in (b"d", b"e", b"f"):
        batch.limit(name, 1, Side.BUY, 100, 1, account=1)
    with Session("127.0.0.1", port, timeout_s=30) as session:
        assert session.ask(batch).outcomes() == bytes(3)
    with socket.create_connection(("127.0.0.1", port), 30) as bad:
        bad.sendall(b"\xff" * 12)
        assert bad.recv(64)
    assert process.end() == 0
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path / "metrics"))
    of = {"partition": "0"}
    assert registry.get_sample_value("hft_door_taken_total", of) == 2
    assert registry.get_sample_value("hft_door_deferred_total", of) == 1
    counted = {"opened": 1, "cut": 0, "batches": 1, "commands": 3}
    assert {name: registry.get_sample_value(f"hft_sessions_{name}_total", of) for name in counted} == counted
    assert registry.get_sample_value("hft_sessions_refused_total", {**of, "code": "bad_frame"}) == 1
