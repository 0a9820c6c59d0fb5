"""Whether gateways of a new release do worse than fresh ones of the release before, by what both answered in the same window. Pure.

What is new and what is old share the machine, the engine and the clients, so nothing needs to be known about what is usual here. Each
figure counts only when the difference is certain *and* large:

- shares (failed, refused, slower than 99 % of the baseline): the lower end of Newcombe's interval for the difference of two shares
  (Statistics in Medicine 17, 1998, 873-890, method 10), which holds for few cases too, is above what is allowed;
- latency as a whole: Mann and Whitney's U over the buckets of the histograms (Annals of Mathematical Statistics 18, 1947), equal ones
  counted half and the variance corrected for them. Of ten thousands of requests every difference is certain, so Vargha and Delaney's
  A = U / (m n) must say "medium" too: in 64 of 100 pairs the canary is the slower one (J. of Educational and Behavioral Statistics 25,
  2000).

Requests are not independent: one pause of a process makes dozens of them late. So what is worse must be so in each part of the window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Z = 3.29  # one false alarm of 2,000 at most, of each figure
LARGE = 0.64
TAIL = 0.99
TAIL_ALLOWED = 0.02
INFINITE = float("inf")


@dataclass(frozen=True)
class Answers:
    """What gateways of one kind answered; health and metrics left out."""

    requests: float = 0
    failed: float = 0  # with 5xx
    refused: float = 0  # with 4xx
    # seconds -> orders that took at most so long
    latency: Mapping[float, float] = field(default_factory=dict)

    def since(self, first: Answers) -> Answers:
        """What came after `first`; counters only grow."""
        return Answers(
            self.requests - first.requests,
            self.failed - first.failed,
            self.refused - first.refused,
            {bound: count - first.latency.get(bound, 0) for bound, count in self.latency.items()},
        )

    def and_also(self, other: Answers) -> Answers:
        bounds = sorted({*self.latency, *other.latency})
        both = {bound: self.latency.get(bound, 0) + other.latency.get(bound, 0) for bound in bounds}
        return Answers(
            self.requests + other.requests, self.failed + other.failed, self.refused + other.refused, both
        )  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Both kinds in the same time."""

    canary: Answers
    baseline: Answers


@dataclass(frozen=True)
class Verdict:
    word: str  # passed | failed | inconclusive
    message: str


@dataclass(frozen=True)
class Compared:
    """One figure of both."""

    name: str
    worse: bool  # certain and large
    leans: bool  # no better than what would be large: what a part of the window must say too
    shown: str


def judge(parts: Sequence[Pair], *, min_requests: int, max_error_ratio: float) -> Verdict:
    """`parts` are the pieces of one window. `max_error_ratio`: by how much more the canary may fail or refuse, 0 to 1."""
    whole = Pair(_sum(part.canary for part in parts), _sum(part.baseline for part in parts))
    counts = f"canary {whole.canary.requests:.0f}, baseline {whole.baseline.requests:.0f} requests"
    if min(whole.canary.requests, whole.baseline.requests) < min_requests:
        return Verdict("inconclusive", f"too few requests to judge it by: {counts}, {min_requests} of each are needed")
    edge = _edge(whole.baseline.latency)
    found = _compared(whole, max_error_ratio, edge)
    pieces = [_compared(part, max_error_ratio, edge) for part in parts]
    worse = [one for number, one in enumerate(found) if one.worse and all(piece[number].leans for piece in pieces)]
    told = "; ".join(f"{one.name}: {one.shown}" for one in worse or found)
    return Verdict("failed" if worse else "passed", f"{told} ({counts})")


def difference_from(bad: float, count: float, bad_before: float, count_before: float, z: float = Z) -> float:
    """The least that the first share is above the second, with certainty `z`; negative when it may be below."""
    if not count or not count_before:
        return -1.0
    share, share_before = bad / count, bad_before / count_before
    lowest, _ = wilson(share, count, z)
    _, highest = wilson(share_before, count_before, z)
    return share - share_before - math.hypot(share - lowest, highest - share_before)


def wilson(share: float, count: float, z: float = Z) -> tuple[float, float]:
    """Wilson's interval of a share (J. of the American Statistical Association 22, 1927)."""
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    below = 1 + z * z / count
    return max((middle - half) / below, 0.0), min((middle + half) / below, 1.0)


def slower(canary: Mapping[float, float], baseline: Mapping[float, float]) -> tuple[float, float]:
    """Of counts per bucket: in which share of pairs the canary is the slower one, and how many deviations that is from half."""
    total, total_before = sum(canary.values()), sum(baseline.values())
    if not total or not total_before:
        return 0.5, 0.0
    u = below = ties = 0.0
    for bound in sorted({*canary, *baseline}):
        mine, theirs = canary.get(bound, 0.0), baseline.get(bound, 0.0)
        u += mine * (below + theirs / 2)
        below += theirs
        ties += (mine + theirs) ** 3 - (mine + theirs)
    count = total + total_before
    variance = total * total_before / 12 * (count + 1 - ties / (count * (count - 1))) if count > 1 else 0.0
    away = u - total * total_before / 2
    return u / (total * total_before), away / math.sqrt(variance) if variance > 0 else 0.0


def _compared(pair: Pair, allowed: float, edge: float) -> list[Compared]:
    canary, baseline = pair.canary, pair.baseline
    figures: tuple[tuple[str, Callable[[Answers], tuple[float, float]], float], ...] = (
        ("requests failed (5xx)", lambda one: (one.failed, one.requests), allowed),
        ("requests refused (4xx)", lambda one: (one.refused, one.requests), allowed),
        (f"orders slower than {_shown(edge)}", lambda one: _above(one.latency, edge), TAIL_ALLOWED),
    )
    found = [_share(name, of(canary), of(baseline), most) for name, of, most in figures]
    mine, theirs = _buckets(canary.latency), _buckets(baseline.latency)
    pairs, deviations = slower(mine, theirs)
    medians = (
        f"median up to {_shown(_quantile(canary.latency, 0.5))}, baseline {_shown(_quantile(baseline.latency, 0.5))}"
    )
    shown = f"canary the slower one in {100 * pairs:.0f} % of pairs ({medians})"
    return [*found, Compared("latency of orders", pairs >= LARGE and deviations >= Z, pairs >= LARGE, shown)]


def _share(name: str, mine: tuple[float, float], theirs: tuple[float, float], allowed: float) -> Compared:
    (bad, count), (bad_before, count_before) = mine, theirs
    share, share_before = bad / count if count else 0.0, bad_before / count_before if count_before else 0.0
    worse = difference_from(bad, count, bad_before, count_before) > allowed
    shown = f"canary {100 * share:.2f} % of {count:.0f}, baseline {100 * share_before:.2f} % of {count_before:.0f}"
    return Compared(name, worse, share - share_before > allowed, shown)


def _sum(parts: Iterator[Answers]) -> Answers:
    whole = Answers()
    for part in parts:
        whole = whole.and_also(part)
    return whole


def _buckets(cumulated: Mapping[float, float]) -> dict[float, float]:
    """How many are in each bucket, of how many are in it or below."""
    found, below = {}, 0.0
    for bound in sorted(cumulated):
        found[bound], below = cumulated[bound] - below, cumulated[bound]
    return found


def _quantile(cumulated: Mapping[float, float], share: float) -> float:
    """The bound of the bucket that holds it; infinite above the last."""
    total = max(cumulated.values(), default=0.0)
    return next((bound for bound in sorted(cumulated) if total and cumulated[bound] >= share * total), INFINITE)


def _edge(cumulated: Mapping[float, float]) -> float:
    return _quantile(cumulated, TAIL)


def _above(cumulated: Mapping[float, float], bound: float) -> tuple[float, float]:
    total = max(cumulated.values(), default=0.0)
    return (total - cumulated[bound] if bound in cumulated else 0.0), total


def _shown(seconds: float) -> str:
    return "the last bucket" if seconds == INFINITE else f"{1000 * seconds:g} ms"
