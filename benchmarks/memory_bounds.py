"""How much memory each component may come to need, from the profile that it runs with. Part of `benchmarks.memory`.

A bound is what stands at rest plus what the profile lets come to it. Terms say where they come from; the engine's tables are
real from the start with `enable_hft_mode`, so they are in what stands at rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hftctl.targets.local import servers
from hftctl.targets.local.binaries import POSTGRES, find

MIB = 1 << 20
BODY_MIB = 1.0  # client_max_body_size
DOOR_CONNECTIONS = 4096  # worker_connections of nginx; a request has two
ANSWER_MIB = 16 * 32 / 1024 + 4 / 1024  # proxy_buffers and the head
COMMAND_BYTES = 2048  # a command that waits for the disk: record, events, reply, objects around them
EVENT_BYTES = 2048  # an event on its way into rows: as the engine has it, as COPY takes it, the Order that is cached
LEVELS_MIB = 388.3  # per symbol, when each of its 16.7 million prices was touched
BACKEND_MIB = 12.0
# Valkey counts what it hands out; libc, its allocator here, takes more for what lies between entries of different sizes. It
# levels off after some ten exchanges of everything in it: measured 1.07 to 1.25, less what Valkey takes at rest.
FRAGMENTS = 1.5


def bounds(profile: Mapping[str, Any], layout: Any, at_rest_mib: Mapping[str, float]) -> dict[str, tuple[float, str]]:
    """In MiB, and how it comes about."""
    engine, workers = profile["engine"], profile["system"]["max_workers"]
    requests = DOOR_CONNECTIONS // 2 * workers
    settings = servers.postgres(profile, layout, find(POSTGRES))["settings"]["settings"]
    megabytes = {
        name: int(settings[name].removesuffix("MB"))
        for name in ("shared_buffers", "wal_buffers", "work_mem", "maintenance_work_mem")
    }
    backends = settings["max_connections"]
    instruments = len(profile["instruments"]) + 1
    terms: dict[str, tuple[float, str]] = {
        "engine": (
            engine["max_unacknowledged"] * COMMAND_BYTES / MIB + instruments * LEVELS_MIB + requests * BODY_MIB,
            f"{engine['max_unacknowledged']:,} commands waiting for the disk x {COMMAND_BYTES} bytes, {instruments} symbols x "
            f"{LEVELS_MIB} MiB of levels if every price is touched, {requests:,} requests x 1 MiB",
        ),
        "gateway": (
            requests * BODY_MIB * 4,
            f"{requests:,} requests at once x 1 MiB of body, four times that once parsed",
        ),
        "persister": (50_000 * EVENT_BYTES / MIB, f"50,000 events of a batch x {EVENT_BYTES} bytes"),
        "nginx": (
            requests * (BODY_MIB + ANSWER_MIB),
            f"{requests:,} requests at once x (1 MiB of body + {ANSWER_MIB:.2f} MiB of answer)",
        ),
        "redis": (
            profile["redis"]["max_memory_bytes"] / MIB * FRAGMENTS,
            f"redis.max_memory_bytes x {FRAGMENTS} for the allocator's fragments",
        ),
        "postgres": (
            megabytes["shared_buffers"]
            + megabytes["wal_buffers"]
            + backends * (megabytes["work_mem"] + BACKEND_MIB)
            + 3 * megabytes["maintenance_work_mem"],
            f"{megabytes['shared_buffers']} MB of buffers, {megabytes['wal_buffers']} of WAL, {backends} connections x "
            f"({megabytes['work_mem']} + {BACKEND_MIB:.0f}), 3 autovacuum workers x {megabytes['maintenance_work_mem']}",
        ),
        "supervisor": (8.0, "its tables of components"),
    }
    return {
        name: (round(rest + terms[name.partition("-")[0]][0], 1), terms[name.partition("-")[0]][1])
        for name, rest in at_rest_mib.items()
    }
