"""The configuration of each service: one JSON file, written by whoever deploys, read once at start.

Paths are relative to the working directory, `<home>/<deployment>/run` on the local target, so that socket names stay
below the 107 bytes of a Unix address. Secrets are never inside, only the files they stand in.

A revert or a rollback runs settings of one release with the code of another. So a key that this code does not know is passed
over, one that came after the first release has a default that means what was before it, and none changes its meaning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service has."""

    deployment: str
    component: str  # engine-0, gateway-1, persister-0: also its name in logs and metrics
    log_file: str  # JSON lines; reopened when the file was renamed
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_dir: str  # prometheus-client's multiprocess folder, shared by all services of the deployment
    metrics_enabled: bool = True
    latency_sample_rate: float = 1.0  # 0 switches latency profiling off


class InstrumentSettings(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    tick_size: str  # decimal
    lot_size: str  # decimal
    currency: str
    state: Literal["open", "halted"] = "open"
    base_price: str = "0"


class Postgres(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    database: str
    user: str
    password_file: str


class Redis(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    password_file: str


class EngineSettings(Settings, frozen=True, kw_only=True):
    partition: int
    data_dir: str  # holds journal/, events/, snapshots/
    link_socket: str
    order_socket: str | None = None  # the HTTP door of layout `engine`; inherited as fd when the supervisor listens
    admin_socket: str
    session_address: str | None = None  # host:port of the binary door; inherited as fd when the supervisor listens
    implementation: Literal["auto", "cython", "python"] = "auto"
    instruments: list[InstrumentSettings]
    accounts: list[str]
    authentication: Literal["none", "api_key"]
    api_keys_file: str | None = None
    max_live_orders: int = 1 << 20
    client_ids_max: int = 1 << 22
    max_unacknowledged: int = 100_000  # commands waiting for the disk before 429
    max_orders_per_second: int = 0  # 0: no limit
    max_latency_us: int = 200  # p99 of decision latency above which the engine says so; see matcher/latency.py
    segment_bytes: int = 64 << 20
    snapshot_commands: int = 1_000_000  # after so many the next snapshot is taken; 0: none is
    hft_mode: bool = True  # latency before memory: see matcher/memory.py


class PartitionSettings(msgspec.Struct, frozen=True, kw_only=True):
    partition: int
    link_socket: str
    symbols: list[str] = []  # exact; wins over ranges
    ranges: list[str] = []  # of first characters, as "A-G"


class GatewaySettings(Settings, frozen=True, kw_only=True):
    socket: str  # where nginx connects to: a Unix socket, or host:port
    partitions: list[PartitionSettings]
    map_version: int
    postgres: Postgres
    redis: Redis
    authentication: Literal["none", "api_key"]
    api_keys_file: str | None = None
    # whose member `hash` /version shows; read whenever it is asked, so that a release may change beside us
    release_file: str = "../release.json"
    engine_timeout_s: float = 5.0
    hold_s: float = 5.0  # how long a request waits for an engine that restarts
    max_held: int = 10_000
    max_body_bytes: int = 1 << 20
    max_batch: int = 1000


class PersisterSettings(Settings, frozen=True, kw_only=True):
    partition: int
    link_socket: str
    postgres: Postgres
    redis: Redis
    batch_events: int = 50_000
    idle_ms: int = 100
    state_file: str | None = None  # how far it is and what keeps it, for `status`; see persister/watch.py
    cached_order_ttl_s: int = 3600


S = TypeVar("S", bound=Settings)


def load(path: str | Path, kind: type[S]) -> S:
    """Raises msgspec.ValidationError or msgspec.DecodeError naming the field, and OSError."""
    return msgspec.json.decode(Path(path).read_bytes(), type=kind)
