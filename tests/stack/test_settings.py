"""Settings of one release are read by the code of another: a revert and a rollback do that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stack.settings import EngineSettings, GatewaySettings, PersisterSettings, Settings, load

POSTGRES = {"host": "127.0.0.1", "port": 5432, "database": "hft", "user": "hft", "password_file": "../secrets/postgres"}
REDIS = {"host": "127.0.0.1", "port": 6379, "password_file": "../secrets/redis"}
COMMON = {
    "deployment": "paper", "log_file": "../logs/x.log", "log_level": "info", "metrics_dir": "metrics",
    "metrics_enabled": True, "latency_sample_rate": 1.0,
}  # fmt: skip
# As the first release wrote them; what came later must not be needed.
FIRST: dict[type[Settings], dict[str, Any]] = {
    EngineSettings: {
        **COMMON, "component": "engine-0", "partition": 0, "data_dir": "../data/partition-0", "link_socket": "link.sock",
        "order_socket": None, "admin_socket": "admin.sock", "implementation": "auto", "accounts": ["demo"],
        "instruments": [
            {"symbol": "AAPL", "tick_size": "0.01", "lot_size": "1", "currency": "USD", "state": "open", "base_price": "190"}
        ],
        "authentication": "none", "api_keys_file": None, "max_live_orders": 1 << 20, "client_ids_max": 1 << 22,
        "max_unacknowledged": 100_000, "max_orders_per_second": 0, "segment_bytes": 64 << 20,
    },
    GatewaySettings: {
        **COMMON, "component": "gateway-1", "socket": "gateway-1.sock", "map_version": 1, "postgres": POSTGRES,
        "partitions": [{"partition": 0, "link_socket": "link.sock", "symbols": ["PROOF.0"], "ranges": ["0-9", "A-Z"]}],
        "redis": REDIS, "authentication": "none", "api_keys_file": None, "release": "0123abcd",
        "components": ["engine-0", "gateway-1", "gateway-2", "nginx"], "engine_timeout_s": 5.0, "hold_s": 15.0,
        "max_held": 10_000, "max_body_bytes": 1 << 20, "max_batch": 1000,
    },
    PersisterSettings: {
        **COMMON, "component": "persister-0", "partition": 0, "link_socket": "link.sock", "postgres": POSTGRES,
        "redis": REDIS, "batch_events": 50_000, "idle_ms": 50, "cached_order_ttl_s": 3600,
    },
}  # fmt: skip


def written(folder: Path, settings: dict[str, Any]) -> Path:
    file = folder / "settings.json"
    file.write_text(json.dumps(settings))
    return file


@pytest.mark.parametrize("kind", FIRST)
def test_settings_of_the_first_release_are_read(kind: type[Settings], tmp_path: Path) -> None:
    read = load(written(tmp_path, FIRST[kind]), kind)
    assert read.component == FIRST[kind]["component"]


def later(settings: Any) -> Any:
    """With a key in each object that only a later release knows."""
    if isinstance(settings, dict):
        return {**{key: later(value) for key, value in settings.items()}, "from_later": {"x": 1}}
    return [later(value) for value in settings] if isinstance(settings, list) else settings


@pytest.mark.parametrize("kind", FIRST)
def test_keys_of_a_later_release_are_passed_over(kind: type[Settings], tmp_path: Path) -> None:
    assert load(written(tmp_path, later(FIRST[kind])), kind) == load(written(tmp_path, FIRST[kind]), kind)


def test_a_value_that_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"postgres\.port"):
        load(written(tmp_path, {**FIRST[PersisterSettings], "postgres": {**POSTGRES, "port": "x"}}), PersisterSettings)
