"""One measured run: what was answered, how fast, and how many processor microseconds each process spent per order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.harness.cpu import Watch
from benchmarks.harness.rounds import Run

GENERATOR = "generator"


class Unmeasured(Exception):
    """The benchmark cannot say anything: what is missing, or what failed."""


@dataclass(frozen=True)
class Answered:
    """What a generator saw; all of it succeeded, or there is no such thing but `Unmeasured`."""

    orders: int
    seconds: float
    latency_ms: dict[str, float]  # of a request
    generator_cpu_s: float  # of processes that have ended; 0 where they are among the groups
    requests: int = 0  # 0: as many as orders
    more: dict[str, float] = field(default_factory=dict)


Groups = Mapping[str, list[int]]


def measured(own: Groups, generate: Callable[[], Answered], standing: Groups | None = None) -> Run:
    """`own`: the design's processes; `standing`: those of other designs, idle now, which are no strangers either."""
    beside = {f"standing {name}": pids for name, pids in (standing or {}).items()}
    watch = Watch({**own, **beside})
    answered = generate()
    spent = watch.spent({GENERATOR: answered.generator_cpu_s})
    us = {
        name: round(s * 1e6 / answered.orders, 3)
        for name, s in spent.seconds.items()
        if name in own or name == GENERATOR
    }
    idle_s = sum(s for name, s in spent.seconds.items() if name in beside)
    return {
        "per_s": round(answered.orders / answered.seconds, 1),
        "orders": answered.orders,
        "seconds": round(answered.seconds, 3),
        "requests_per_s": round((answered.requests or answered.orders) / answered.seconds, 1),
        "latency_ms": answered.latency_ms,
        "cpu_us_per_order": {"all": round(sum(us.values()) - us[GENERATOR], 3), **us},
        "kernel_cores": spent.kernel_cores,
        "standing_cores": round(idle_s / spent.elapsed_s, 3),
        "foreign_cores": spent.foreign_cores,
        "foreign_names": spent.foreign_names,
        **answered.more,
    }
