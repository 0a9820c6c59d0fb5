"""Settings of our own services as the profile wants them, in the form of `stack/settings.py`. Pure."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from hftctl.paths import package_folder
from hftctl.release import Release

DATABASE = "hft"
DATABASE_USER = "hft"
POSTGRES_PASSWORD = "postgres_password"  # noqa: S105 - names of files below secrets/
REDIS_PASSWORD = "redis_password"  # noqa: S105
API_KEYS = "api_keys"
OWN_ACCOUNTS = ("proof", "load", "replay")  # reserved for proofs, `hftctl load` and `hftctl replay`
PROOF_INSTRUMENT = {"tick_size": "0.01", "lot_size": "1", "currency": "USD", "state": "open", "base_price": "0"}


def engine(release: Release, number: int, *, door: bool) -> dict[str, Any]:
    profile = release.profile
    knobs = profile["engine"]
    return {
        **_common(release, f"engine-{number}"),
        "partition": number,
        "data_dir": f"../data/partition-{number}",
        "link_socket": link_socket(number),
        "order_socket": order_socket(number) if door else None,
        "admin_socket": f"engine-{number}.admin.sock",
        "session_address": session_address(profile, number),
        "implementation": knobs["implementation"],
        "instruments": [*_instruments(profile, number), {"symbol": f"PROOF.{number}", **PROOF_INSTRUMENT}],
        "accounts": [*profile["accounts"], *OWN_ACCOUNTS],
        **_authentication(profile),
        "max_live_orders": knobs["max_live_orders"],
        "client_ids_max": knobs["client_ids_max"],
        "max_unacknowledged": knobs["max_unacknowledged"],
        "max_orders_per_second": profile["trading"]["max_orders_per_second"],
        "max_latency_us": profile["max_latency_us"],
        "segment_bytes": knobs["segment_bytes"],
        "snapshot_commands": knobs["snapshot_commands"],
        "hft_mode": profile["enable_hft_mode"],
    }


def gateway(release: Release, number: int) -> dict[str, Any]:
    profile = release.profile
    return {
        **_common(release, f"gateway-{number}"),
        "socket": gateway_socket(number),
        "partitions": [
            {
                "partition": index,
                "link_socket": link_socket(index),
                "symbols": [*partition["symbols"], f"PROOF.{index}"],
                "ranges": partition["ranges"],
            }
            for index, partition in enumerate(profile["partitions"])
        ],
        "map_version": 1,
        "postgres": postgres(profile),
        "redis": redis(profile),
        **_authentication(profile),
        "release_file": "../release.json",
        "engine_timeout_s": 5.0,
        "hold_s": 15.0,  # an engine restarts in one or two seconds, on a machine that is busy otherwise in more
        "max_held": profile["system"]["worker_queue_size"],
        "max_body_bytes": 1 << 20,
        "max_batch": 1000,
    }


def persister(release: Release, number: int) -> dict[str, Any]:
    return {
        **_common(release, f"persister-{number}"),
        "partition": number,
        "link_socket": link_socket(number),
        "postgres": postgres(release.profile),
        "redis": redis(release.profile),
        "batch_events": 50_000,
        "idle_ms": 100,
        "state_file": persister_state(number),
        "cached_order_ttl_s": 3600,
    }


def postgres(profile: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": profile["ports"]["postgres"],
        "database": DATABASE,
        "user": DATABASE_USER,
        "password_file": f"../secrets/{POSTGRES_PASSWORD}",
    }


def redis(profile: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": profile["ports"]["redis"],
        "password_file": f"../secrets/{REDIS_PASSWORD}",
    }


def persister_state(number: int) -> str:
    """Where it writes how far it is, below `run/`."""
    return f"persister-{number}.state.json"


def link_socket(partition: int) -> str:
    return f"engine-{partition}.link.sock"


def order_socket(partition: int) -> str:
    return f"engine-{partition}.orders.sock"


def session_address(profile: Mapping[str, Any], partition: int) -> str | None:
    """host:port of a partition's binary door; None where it has none, as all releases from before there was one."""
    if not profile.get("binary_door", False):
        return None
    host = f"[{profile['bind']}]" if ":" in profile["bind"] else profile["bind"]
    return f"{host}:{profile['ports']['binary'] + partition}"


def gateway_socket(number: int) -> str:
    return f"gateway-{number}.sock"


def owns_door(profile: Mapping[str, Any]) -> bool:
    """Whether the engine's process takes orders from nginx itself (layout `engine`)."""
    wanted = profile["order_entry"]
    if wanted != "auto":
        return bool(wanted == "engine")
    alone = len(profile["partitions"]) == 1
    return bool(profile["enable_hft_mode"]) and alone and profile["engine"]["implementation"] != "python" and compiled()


@functools.cache
def compiled() -> bool:
    """Whether the compiled engine and its door are there: as files, for nothing of the data plane is imported here."""
    return all(
        any(module.is_file() for module in package_folder(package).glob(pattern))
        for package, pattern in (("engine", "*.so"), ("stack", "door/orders.*.so"))
    )


def partition_of(profile: Mapping[str, Any], symbol: str) -> int:
    """Exact symbols win over ranges of first characters; `profile check` made sure that each symbol has one owner."""
    for number, partition in enumerate(profile["partitions"]):
        if symbol in partition["symbols"]:
            return number
    for number, partition in enumerate(profile["partitions"]):
        if any(text[0] <= symbol[0] <= text[-1] for text in partition["ranges"]):
            return number
    raise ValueError(f"no partition owns {symbol}")


def _instruments(profile: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
    enabled = profile["trading"]["enabled_symbols"]
    return [
        dict(instrument) if not enabled or instrument["symbol"] in enabled else {**instrument, "state": "halted"}
        for instrument in profile["instruments"]
        if partition_of(profile, instrument["symbol"]) == number
    ]


def _common(release: Release, component: str) -> dict[str, Any]:
    profile = release.profile
    measured = profile["latency_profiling"]
    return {
        "deployment": release.deployment,
        "component": component,
        "log_file": f"../logs/{component}.log",
        "log_level": profile["log_level"],
        "metrics_dir": "metrics",
        "metrics_enabled": profile["monitoring"]["enable_prometheus"],
        "latency_sample_rate": measured["sample_rate"] if measured["enabled"] else 0.0,
    }


def _authentication(profile: Mapping[str, Any]) -> dict[str, Any]:
    wanted = profile["authentication"]
    return {
        "authentication": wanted,
        "api_keys_file": f"../secrets/{API_KEYS}" if wanted == "api_key" else None,
    }
