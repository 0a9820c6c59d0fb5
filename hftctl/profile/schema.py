"""Every key a profile may have, with its meaning, unit and range. docs/profiles.md is generated from here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9.]{1,12}$")]
Account = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")]
DecimalText = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
SymbolRange = Annotated[str, Field(pattern=r"^[A-Z0-9](-[A-Z0-9])?$")]
Environment = Literal["development", "staging", "production"]
IMAGE = r"^[a-z0-9]([a-zA-Z0-9./:@_-]{0,254})$"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Ports(Section):
    """Where the deployment listens on `bind` (http, binary) and on loopback (the others)."""

    http: Port = Field(default=8080, description="TCP port of the public door (nginx): orders, reads, metrics")
    binary: Port = Field(
        default=50052,
        description="TCP port of the binary door of partition 0, where binary_door is true; each further partition has the next",
    )
    postgres: Port = Field(default=55432, description="TCP port of PostgreSQL, on loopback")
    redis: Port = Field(default=56379, description="TCP port of Valkey, on loopback")


class Partition(Section):
    """The symbols that one engine owns."""

    ranges: list[SymbolRange] = Field(
        default=[],
        max_length=36,
        description='ranges of first characters, such as "A-G"; all partitions cover 0-9, A-Z',
    )
    symbols: list[Symbol] = Field(
        default=[], max_length=10_000, description="single symbols; they win over every partition's ranges"
    )


class Engine(Section):
    """The matching engine of each partition."""

    implementation: Literal["auto", "cython", "python"] = Field(
        default="auto", description="which book runs; auto: the compiled one where it was built, else plain Python"
    )
    max_live_orders: int = Field(
        default=1 << 20, ge=1, le=1 << 26, description="orders that may rest in all books of a partition"
    )
    client_ids_max: int = Field(
        default=1 << 22,
        ge=1,
        le=1 << 28,
        description="client_order_ids remembered per generation; 32 bytes each, two generations",
    )
    max_unacknowledged: int = Field(
        default=100_000, ge=1, le=10_000_000, description="commands that may wait for the disk before new ones get 429"
    )
    segment_bytes: int = Field(
        default=64 << 20, ge=1 << 20, le=4 << 30, description="size of one journal file in bytes, a multiple of 4096"
    )
    snapshot_commands: int = Field(
        default=1_000_000,
        ge=0,
        le=1_000_000_000,
        description="commands after which the next snapshot is taken; a start replays those after the newest one, which are more "
        "where they come faster than snapshots are written; 0: none is taken",
    )


class Redis(Section):
    """Valkey: caches and fan-out, never the truth."""

    max_memory_bytes: int = Field(
        default=512 << 20, ge=16 << 20, le=1 << 40, description="memory limit of the cache in bytes"
    )


class System(Section):
    max_workers: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="worker processes of the public door (nginx); more than CPU cores bring nothing",
    )
    worker_queue_size: int = Field(
        default=100_000, ge=1, le=10_000_000, description="requests that the gateways hold while an engine restarts"
    )


class Trading(Section):
    max_orders_per_second: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="commands per second and partition above which orders get 429; 0: no limit",
    )
    enabled_symbols: list[Symbol] = Field(
        default=[], max_length=10_000, description="the instruments that trade; empty: all in `instruments`"
    )


class LatencyProfiling(Section):
    enabled: bool = Field(default=True, description="measure decision latency inside the stack")
    sample_rate: float = Field(default=1.0, ge=0.0, le=1.0, description="share of orders that are measured, 0.0 to 1.0")


class Monitoring(Section):
    enable_prometheus: bool = Field(
        default=True, description="serve metrics of all components at /metrics of the public door"
    )


class Rollout(Section):
    timeout_s: int = Field(
        default=120, ge=1, le=86_400, description="seconds a rollout waits for readiness before it reverts"
    )
    canary: list[Annotated[int, Field(ge=1, le=100)]] = Field(
        default=[],
        max_length=10,
        description="percent of requests that new gateways get step by step, such as [5, 25, 50, 100], on the target compose; at "
        "each step but 100, which is all gateways, they are judged against fresh ones of the release before; empty: no canary",
    )
    canary_step_s: int = Field(
        default=60, ge=2, le=86_400, description="seconds that each step of a canary is watched before it is judged"
    )
    bake_s: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description="seconds that a new release is watched after it was recorded, and reverted when it does worse than the keys "
        "below allow; 0: it is not",
    )
    min_requests: int = Field(
        default=500,
        ge=1,
        le=1_000_000_000,
        description="requests from which on a release that bakes is judged by them; a canary and its baseline need so many each, "
        "else the rollout pauses",
    )
    max_error_ratio: float = Field(
        default=0.01,
        ge=0.0,
        le=1.0,
        description="share of orders turned away with 429, and of requests that failed, allowed while a release bakes; by how "
        "much more than its baseline a canary may fail or refuse",
    )
    max_p99_us: int = Field(
        default=50_000,
        ge=1,
        le=60_000_000,
        description="p99 of orders in microseconds, at the engine's door and at the gateways, allowed while a release bakes",
    )
    max_lag_s: int = Field(
        default=60, ge=1, le=86_400, description="seconds that a persister may be behind while a release bakes"
    )
    max_restarts: int = Field(
        default=0, ge=0, le=1_000, description="times that components may die while a release bakes, all together"
    )
    max_times_worse: float = Field(
        default=5.0,
        ge=1.0,
        le=1_000.0,
        description="how many times the p99 of just before the rollout a release that bakes may have; below a tenth of max_p99_us "
        "all is well, and what was above its limit before may be so many times worse",
    )


class Keep(Section):
    """Which backups `hftctl backup prune` leaves; one stays when any of these wants it."""

    last: int = Field(default=3, ge=1, le=10_000, description="the newest ones, however old")
    daily: int = Field(default=7, ge=0, le=10_000, description="days of which the last backup is kept")
    weekly: int = Field(default=5, ge=0, le=10_000, description="weeks of which the last backup is kept")
    monthly: int = Field(default=12, ge=0, le=10_000, description="months of which the last backup is kept")


class Backup(Section):
    store: str = Field(
        default="",
        pattern=r"^(/[^\x00-\x1f]{1,1023})?$",
        description="folder of the backups, best a mount that is not lost with this machine; empty: each command names it",
    )
    recipient: str = Field(
        default="",
        pattern=r"^(age1[02-9ac-hj-np-z]{58})?$",
        description="age recipient that secrets are encrypted to; empty: they are left out",
    )
    keep: Keep = Field(default=Keep(), description="what a prune leaves")


class Host(Section):
    """The machines it stands on. `hftctl tune` reads this; deploys only check `needs`."""

    profile: Literal["", "latency", "latency-extreme", "throughput", "virtual-machine", "kubernetes-node"] = Field(
        default="",
        description="host profile that hftctl tune applies to the inventory; empty: the one that fits each host",
    )
    needs: list[Literal["numa", "dpdk", "af-xdp", "sse4.2", "avx2", "avx512", "neon"]] = Field(
        default=[],
        max_length=7,
        description="what the host must be able to do; a deploy is refused where something is missing",
    )
    inventory: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@:%-]{0,254}$")]] = Field(
        default=[], max_length=1000, description="hosts to tune, as ssh names them: desk3, ana@10.0.0.7"
    )
    wave: int = Field(
        default=1,
        ge=1,
        le=100,
        description="hosts that are tuned at the same time; the first of all is always tuned alone",
    )


class Images(Section):
    """Of the targets compose and kubernetes: which images run. Our own is built from the sources and named by its content."""

    base: str = Field(
        default="python:3.13-slim-trixie",
        pattern=IMAGE,
        description="what our own image is built from: a Debian with Python 3.11 or newer (the build argument BASE_IMAGE)",
    )
    registry: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._/-]+)?)?$",
        description="registry, and a path in it, that our own image is pushed to and named after; empty: it stays on the engine",
    )
    postgres: str = Field(
        default="postgres:18", pattern=IMAGE, description="PostgreSQL, 15 or newer, as its official image is"
    )
    redis: str = Field(
        default="valkey/valkey:9", pattern=IMAGE, description="Valkey or Redis, as their official images are"
    )
    nginx: str = Field(
        default="nginx:1.31", pattern=IMAGE, description="nginx, 1.27.4 or newer, as its official image is"
    )


class Kubernetes(Section):
    """Of the target kubernetes."""

    overlay: Literal["orbstack", "staging", "production"] = Field(
        default="orbstack",
        description="which of the overlays in stack/manifests; orbstack: one node; staging: several, and nobody twice on one; "
        "production: also whole processors for engines",
    )
    gateways_max: int = Field(
        default=0,
        ge=0,
        le=64,
        description="gateways an autoscaler may make, where the overlay has one (staging, production); `gateways` is how few; 0: "
        "no more than those",
    )
    shares_docker: bool = Field(
        default=True,
        description="the nodes run the images of the Docker engine that is chosen, as on OrbStack: a deploy builds what is missing; "
        "false: they pull from images.registry",
    )


class Instrument(Section):
    """What can be traded."""

    symbol: Symbol = Field(description="name, 1 to 12 of A-Z, 0-9 and dot; PROOF.* is reserved")
    tick_size: DecimalText = Field(description="smallest step of a price, a decimal in quotes")
    lot_size: DecimalText = Field(description="smallest step of a quantity, a decimal in quotes")
    currency: str = Field(pattern=r"^[A-Z0-9]{1,8}$", description="what prices are in, 1 to 8 of A-Z and 0-9")
    state: Literal["open", "halted"] = Field(default="open", description="halted: takes cancels only")
    base_price: DecimalText = Field(
        default="0",
        description="lowest price of the book's dense window, a multiple of tick_size; the window is 16777216 ticks",
    )


class Profile(Section):
    """What we want to stand somewhere."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,30}$", description="name, and of the deployment unless --name; default: the file's"
    )
    target: Literal["local", "compose", "kubernetes"] = Field(
        description="where it runs; local: processes on this machine; compose: containers of a Docker engine; kubernetes: pods of the "
        "cluster that the current context leads to"
    )
    environment: Environment = Field(default="development", description="layer of settings under the profile")
    bind: str = Field(
        default="127.0.0.1",
        description="IP address of the public door and the binary door; anything but loopback needs authentication: api_key",
    )
    ports: Ports = Field(default=Ports(), description="TCP ports, all different")
    authentication: Literal["none", "api_key"] = Field(
        default="none",
        description="none: whoever reaches the door may trade; api_key: a key in secrets/api_keys says who",
    )
    order_entry: Literal["auto", "engine", "gateway"] = Field(
        default="auto",
        description="who owns the order socket; auto: engine with enable_hft_mode, one partition and a compiled engine, else "
        "gateway",
    )
    binary_door: bool = Field(
        default=False,
        description="take orders by binary sessions over TCP too, see docs/binary-session.md; needs no compiled engine",
    )
    images: Images = Field(default=Images(), description="images, on the targets compose and kubernetes")
    kubernetes: Kubernetes = Field(default=Kubernetes(), description="the target kubernetes")
    gateways: int = Field(default=1, ge=1, le=64, description="gateway processes")
    gateways_in_turn: int = Field(
        default=0,
        ge=0,
        le=64,
        description="of them those that take requests, the others stand by for when these fail; 0: half as many as the machine "
        "has processors, at least two, since more of them slow each other down",
    )
    partitions: list[Partition] = Field(
        default=[Partition(ranges=["0-9", "A-Z"])],
        min_length=1,
        max_length=64,
        description="engines, and the symbols each owns",
    )
    shards: int = Field(default=1, ge=1, le=1, description="PostgreSQL instances; this release runs one")
    engine: Engine = Field(default=Engine(), description="matching engine")
    redis: Redis = Field(default=Redis(), description="cache")
    system: System = Field(default=System(), description="resources")
    trading: Trading = Field(default=Trading(), description="limits of trading")
    latency_profiling: LatencyProfiling = Field(default=LatencyProfiling(), description="measurement of latency")
    monitoring: Monitoring = Field(default=Monitoring(), description="metrics")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe line that is logged"
    )
    max_latency_us: int = Field(
        default=200,
        ge=1,
        le=60_000_000,
        description="decision latency in microseconds, p99 over 10 s, above which status, log and metrics warn; it only "
        "alerts, in every environment: the breaker that acts on it comes with a later release",
    )
    enable_hft_mode: bool = Field(
        default=True,
        description="latency before memory: order_entry auto may choose the engine, whose tables are faulted in at start, its "
        "memory locked where the system allows it, its garbage collector frozen; false: auto is gateway, and memory is taken as "
        "it is needed",
    )
    rollout: Rollout = Field(default=Rollout(), description="how changes are rolled out")
    backup: Backup = Field(default=Backup(), description="backups")
    host: Host = Field(default=Host(), description="the machines it stands on")
    accounts: list[Account] = Field(
        min_length=1,
        max_length=10_000,
        description="who trades, 1 to 32 of A-Z, a-z, 0-9, _ . -; proof, load and replay are reserved",
    )
    instruments: list[Instrument] = Field(min_length=1, max_length=10_000, description="what is traded")
