"""What a release must keep while it bakes, and whether it does. Pure: figures of two samples, judged.

A threshold that was already crossed before the rollout is not the release's doing: then it may be as bad as before, within
`max_times_worse`. Of latencies a rise by that factor counts too, from a tenth of the threshold on; below that it is noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

NOISE = 0.1  # of a latency's threshold


@dataclass(frozen=True)
class Slo:
    """The keys of a profile's `rollout`; a release from before there were any does not bake."""

    bake_s: float = 0.0
    min_requests: int = 500
    max_error_ratio: float = 0.01
    max_p99_us: float = 50_000.0
    max_lag_s: float = 60.0
    max_restarts: int = 0
    max_times_worse: float = 5.0

    @classmethod
    def of(cls, rollout: Mapping[str, Any]) -> Slo:
        return cls(**{one.name: rollout[one.name] for one in fields(cls) if one.name in rollout})


@dataclass(frozen=True)
class Sample:
    """What was counted at one moment, since ever."""

    orders: float = 0  # commands that engines took, or turned away
    turned_away: float = 0
    requests: float = 0  # that gateways answered; health and metrics left out
    failed: float = 0  # of them, with 5xx
    wanted: float = 0  # refusals that a halt is the reason of: no failures
    # where: seconds -> that took at most so long
    latency: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    lag_s: float = 0.0  # of the persister that is farthest behind
    restarts: Mapping[str, int] = field(default_factory=dict)  # by component


@dataclass(frozen=True)
class Figure:
    name: str
    value: float  # a ratio, or microseconds
    requests: int  # that it was computed from
    latency: bool = False

    @property
    def shown(self) -> str:
        return _shown(self, self.value)


def figures(first: Sample, last: Sample) -> list[Figure]:
    """Of what came between two samples, each that there was any request for."""
    found: list[Figure] = []
    turned_away = _grown(first.turned_away, last.turned_away)
    failed = max(_grown(first.failed, last.failed) - _grown(first.wanted, last.wanted), 0.0)
    for name, bad, count in (
        ("orders turned away", turned_away, _grown(first.orders, last.orders)),
        ("requests failed at the gateways", failed, _grown(first.requests, last.requests)),
    ):
        if count > 0:
            found.append(Figure(name, min(bad / count, 1.0), round(count)))
    for where, counts in last.latency.items():
        before = first.latency.get(where, {})
        grown = {bound: _grown(before.get(bound, 0), count) for bound, count in sorted(counts.items())}
        total = max(grown.values(), default=0)
        if total > 0:
            bound = next(bound for bound, count in grown.items() if count >= 0.99 * total)
            bounds = [one for one in grown if one != float("inf")]
            found.append(Figure(f"p99 {where}", min(bound, max(bounds, default=0.0)) * 1e6, round(total), latency=True))
    return found


def judge(now: Sequence[Figure], before: Sequence[Figure], slo: Slo) -> list[str]:
    """What is worse than it may be, a sentence each; figures of too few requests are not judged."""
    known = {figure.name: figure.value for figure in before if figure.requests >= slo.min_requests}
    found: list[str] = []
    for figure in now:
        if figure.requests < slo.min_requests:
            continue
        was = known.get(figure.name)
        limit = _limit(figure, was, slo)
        if figure.value > limit:
            then = f", {_shown(figure, was)} just before the rollout" if was is not None else ""
            allowed = _shown(figure, limit)
            found.append(f"{figure.name}: {figure.shown} of {figure.requests} requests, {allowed} is allowed{then}")
    return found


def standing(first: Sample, last: Sample, slo: Slo) -> tuple[list[str], list[str]]:
    """What needs no requests: too many restarts, which are a verdict; a lag, which may pass."""
    restarts = {name: count - first.restarts.get(name, 0) for name, count in last.restarts.items()}
    grown = {name: count for name, count in restarts.items() if count > 0}
    died: list[str] = []
    if sum(grown.values()) > slo.max_restarts:
        listed = ", ".join(f"{name} {count} time{'s' if count > 1 else ''}" for name, count in grown.items())
        died.append(f"died and was started again: {listed}; {slo.max_restarts} restarts are allowed")
    behind: list[str] = []
    if last.lag_s > max(slo.max_lag_s, first.lag_s):
        behind.append(f"the persister is {last.lag_s:.0f} s behind, {slo.max_lag_s:g} s is allowed")
    return died, behind


def _limit(figure: Figure, was: float | None, slo: Slo) -> float:
    threshold = slo.max_p99_us if figure.latency else slo.max_error_ratio
    if was is None:
        return threshold
    if was > threshold:
        return was * slo.max_times_worse
    return min(threshold, max(was * slo.max_times_worse, NOISE * threshold)) if figure.latency else threshold


def _shown(figure: Figure, value: float) -> str:
    return f"{value:.0f} us" if figure.latency else f"{100 * value:.2f} %"


def _grown(first: float, last: float) -> float:
    """A counter that fell began anew."""
    return last - first if last >= first else last
