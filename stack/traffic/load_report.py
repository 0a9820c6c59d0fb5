"""The report of a load run: one document for machines, the same as lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from hdrh.histogram import HdrHistogram

from stack.traffic.load_driver import Counts

LATENCY_US_MAX = 600_000_000
OPEN = "open loop: latency from the intended send time"
CLOSED = "closed loop: latency from the moment a client was free"


def merged(workers: Iterable[Counts]) -> tuple[Counts, HdrHistogram]:
    total = Counts()
    histogram = HdrHistogram(1, LATENCY_US_MAX, 3)
    errors: Counter[str] = Counter()
    for counts in workers:
        for name in ("requests", "in_time", "ok", "retries", "late", "not_sent", "too_late", "cpu_s"):
            setattr(total, name, getattr(total, name) + getattr(counts, name))
        errors.update(counts.errors)
        for value_us, count in counts.latency_us.items():
            histogram.record_value(min(max(value_us, 1), LATENCY_US_MAX), count)
    total.errors = dict(errors.most_common())
    return total, histogram


def latency(histogram: HdrHistogram) -> dict[str, float | None]:
    """In milliseconds, of requests that succeeded; all null when none did."""
    if not histogram.get_total_count():
        return dict.fromkeys(("p50", "p90", "p99", "p99_9", "max"))
    found = {
        name: histogram.get_value_at_percentile(percent) / 1000
        for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("p99_9", 99.9))
    }
    return {**found, "max": histogram.get_max_value() / 1000}


def report(total: Counts, histogram: HdrHistogram, *, duration_s: float, rate: float) -> dict[str, Any]:
    wanted = total.requests + total.not_sent
    return {
        "loop": OPEN if rate else CLOSED,
        "achieved_per_s": round(total.in_time / duration_s, 1) if duration_s else 0.0,
        "intended_per_s": rate or None,
        "requests": total.requests,
        "succeeded": total.ok,
        "success_percent": _percent(total.ok, wanted),
        "latency_ms": latency(histogram),
        "retries": total.retries,
        "sent_late": total.late,
        "not_sent": total.not_sent,
        "cancels_too_late": total.too_late,
        "errors": total.errors,
        "generator_cpu_us_per_request": round(total.cpu_s * 1e6 / total.requests, 1) if total.requests else None,
    }


def _percent(part: int, whole: int) -> float:
    """Never rounded up to 100: one failure in a million is a failure."""
    if not whole:
        return 0.0
    return 100.0 if part == whole else min(round(100 * part / whole, 4), 99.9999)


def lines(document: dict[str, Any], indent: str = "") -> Iterable[str]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield f"{indent}{name}:" if value else f"{indent}{name}: none"
            yield from lines(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{name}: {', '.join(map(str, value)) or 'none'}"
        else:
            yield f"{indent}{name}: {'-' if value is None else value}"
