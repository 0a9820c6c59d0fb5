"""Valkey's memory at its limit: does it still grow when keys come and go for hours?

    python -m benchmarks.cache_memory [--json] [--short]

Above some thousand events a second the persister coalesces its news, so an hour of load may never fill the cache. Here keys like
those of closed orders and trades, of sizes drawn with seed 1, are written to a deployment's own Valkey as fast as it takes them. After
a million the cache is full and its allocator's fragments are reused; nine million more, five hours of full news, may not make it
grow by more than the hour of `benchmarks.memory` allows. `ratio` is the growth in relation to that.
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

import redis

from benchmarks.harness import report
from benchmarks.harness.deployment import Deployment, deployed
from benchmarks.harness.measured import Unmeasured
from benchmarks.memory_bounds import FRAGMENTS
from benchmarks.memory_samples import MIB, sample

MAX_MEMORY_BYTES = 64 << 20
SETTINGS = f"redis:\n  max_memory_bytes: {MAX_MEMORY_BYTES}\n"
WARM_UP_KEYS, KEYS, ALLOWED_MIB = 1_000_000, 10_000_000, 4.0
SHORT = (200_000, 400_000, 8.0)
AT_ONCE = 500  # keys in a pipeline
SAMPLES = 20
ORDER_BYTES, TRADE_BYTES = (330, 420), (90, 110)  # as the persister writes them
TRADES_OF, TRADES_KEPT, TTL_S = 5, 1000, 86_400


def client(ours: Deployment) -> redis.Redis:
    told = json.loads((ours.folder / "config" / "persister-0.json").read_bytes())["redis"]
    password = (ours.folder / "run" / told["password_file"]).read_text().strip()
    return redis.Redis(host=told["host"], port=told["port"], password=password or None)


def write(server: redis.Redis, draw: random.Random, first: int, last: int) -> None:
    for start in range(first, last, AT_ONCE):
        pipeline = server.pipeline(transaction=False)
        for number in range(start, start + AT_ONCE):
            pipeline.set(f"order:0-{number}", b"o" * draw.randint(*ORDER_BYTES), ex=TTL_S)
            if number % TRADES_OF == 0:
                pipeline.lpush("trades:CACHE", *(b"t" * draw.randint(*TRADE_BYTES) for _ in range(TRADES_OF)))
                pipeline.ltrim("trades:CACHE", 0, TRADES_KEPT - 1)
        pipeline.execute()


def measure(warm_up: int, keys: int, allowed_mib: float) -> dict[str, Any]:
    draw = random.Random(1)
    with deployed(SETTINGS) as ours, client(ours) as server:
        began = time.monotonic()
        rest_mib = sample(ours.groups, began).own_mib["redis"]
        write(server, draw, 0, warm_up)
        step = (keys - warm_up) // SAMPLES
        sizes_mib = []
        for number in range(SAMPLES):
            write(server, draw, warm_up + number * step, warm_up + (number + 1) * step)
            sizes_mib.append(sample(ours.groups, began).own_mib["redis"])
        took_s = time.monotonic() - began
        memory, evicted = server.info("memory"), server.info("stats")["evicted_keys"]
    if not evicted:
        raise Unmeasured(f"nothing was evicted: the cache holds {memory['used_memory'] / MIB:.1f} MiB")
    grown_mib = max(sizes_mib) - sizes_mib[0]
    bound_mib = rest_mib + MAX_MEMORY_BYTES / MIB * FRAGMENTS
    return {
        "benchmark": "cache_memory",
        "ratio": round(grown_mib / allowed_mib, 3),
        "target": 1.0,
        "met": grown_mib <= allowed_mib and max(sizes_mib) <= bound_mib,
        "keys": keys, "warm_up_keys": warm_up, "evicted": evicted, "keys_per_s": round(keys / took_s),
        "first_mib": sizes_mib[0], "last_mib": sizes_mib[-1], "most_mib": max(sizes_mib),
        "allowed_to_grow_mib": allowed_mib, "bound_mib": round(bound_mib, 1), "sizes_mib": sizes_mib,
        "limit_mib": MAX_MEMORY_BYTES >> 20, "used_mib": round(memory["used_memory"] / MIB, 2), "allocator": memory["mem_allocator"],
        **report.beside(),
    }  # fmt: skip


def main() -> int:
    options = report.options("cache_memory", "Valkey's memory at its limit: does it still grow?").parse_args()
    sizes = SHORT if options.short else (WARM_UP_KEYS, KEYS, ALLOWED_MIB)
    return report.guarded(lambda: report.finish(measure(*sizes), as_json=options.json))


if __name__ == "__main__":
    sys.exit(main())
