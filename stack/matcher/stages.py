"""How long requests spend in each stage, for /metrics and for `status`. Measured in C: stack/door/stages.pxd says what each stage is.

A stage's histogram has four buckets to each doubling of time, from half a microsecond to a second, so that a quantile read
from it is at most a quarter too high. The stages of one request add up to its `total`; their means do, their quantiles don't.
Without a compiler nothing is measured here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stack.door.stages import BOUNDS_NS

if TYPE_CHECKING:
    from stack.door.stages import Stages

_QUANTILES = {"p50_us": 0.5, "p99_us": 0.99, "p99_9_us": 0.999}


def summary(stages: Stages) -> dict[str, Any]:
    """Since the process started; quantiles are upper bounds of their buckets, null beyond the last one."""
    found: dict[str, Any] = {}
    for name, (sum_ns, counts) in stages.read().items():
        total = sum(counts)
        found[name] = {"requests": total, "sum_us": sum_ns // 1000}
        for quantile, share in _QUANTILES.items():
            found[name][quantile] = _quantile_us(counts, share * total) if total else None
    return found


def _quantile_us(counts: list[int], below: float) -> float | None:
    seen = 0
    for bound, count in zip(BOUNDS_NS, counts, strict=False):
        seen += count
        if seen >= below:
            return bound / 1000
    return None
