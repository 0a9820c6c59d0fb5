"""Verdicts on canaries: what holds for all counts, and what becomes of known cases."""

import math
import random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hftctl.checks.canary import INFINITE, LARGE, Answers, Pair, Z, difference_from, judge, slower, wilson
from hftctl.checks.samples import answers

BOUNDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, INFINITE)
counts = st.integers(1, 100_000)
buckets = st.dictionaries(st.sampled_from(BOUNDS), st.integers(0, 5_000), min_size=1)


def latency(values):
    return {bound: float(sum(value <= bound for value in values)) for bound in BOUNDS}


def answered(seed, count=1000, *, failed=0.0, refused=0.0, median_s=0.0008, slow=0.0, slow_s=0.03):
    """Answers with lognormal times, a share of them slow."""
    dice = random.Random(seed)
    times = [dice.lognormvariate(math.log(slow_s if dice.random() < slow else median_s), 0.6) for _ in range(count)]
    return Answers(
        count, sum(dice.random() < failed for _ in times), sum(dice.random() < refused for _ in times), latency(times)
    )


def verdict(canary, baseline, *, min_requests=500):
    """Two parts, each of its own."""
    parts = [Pair(answered(n, **canary), answered(n + 1000, **baseline)) for n in (1, 2)]
    return judge(parts, min_requests=min_requests, max_error_ratio=0.01)


@given(counts, counts, st.data())
def test_wilsons_interval_holds_the_share_and_stays_a_share(count, _other, data):
    share = data.draw(st.integers(0, count)) / count
    low, high = wilson(share, count)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


def test_newcombes_interval_is_the_published_one():
    """His table II, case (a): 56 of 70 against 48 of 80 is 0.0524 to 0.3339 at 95 %."""
    z = NormalDist().inv_cdf(0.975)
    assert difference_from(56, 70, 48, 80, z) == pytest.approx(0.0524, abs=5e-5)
    assert -difference_from(48, 80, 56, 70, z) == pytest.approx(0.3339, abs=5e-5)


@given(counts, counts, st.data())
def test_the_difference_is_never_certain_beyond_what_was_seen(count, count_before, data):
    bad, bad_before = data.draw(st.integers(0, count)), data.draw(st.integers(0, count_before))
    assert difference_from(bad, count, bad_before, count_before) <= bad / count - bad_before / count_before + 1e-9


@given(buckets, buckets)
def test_who_is_slower_is_the_same_from_both_sides(one, other):
    if not sum(one.values()) or not sum(other.values()):
        return
    share, deviations = slower(one, other)
    back, backwards = slower(other, one)
    assert share + back == pytest.approx(1)
    assert deviations == pytest.approx(-backwards)
    assert 0 <= share <= 1


@given(buckets)
def test_nobody_is_slower_than_himself(one):
    share, deviations = slower(one, one)
    assert share == pytest.approx(0.5)
    assert deviations == pytest.approx(0, abs=1e-9)


@given(
    st.lists(st.sampled_from(BOUNDS), min_size=2, max_size=40),
    st.lists(st.sampled_from(BOUNDS), min_size=2, max_size=40),
)
def test_pairs_are_counted_as_one_would_by_hand(mine, theirs):
    pairs = sum((a > b) + (a == b) / 2 for a in mine for b in theirs) / (len(mine) * len(theirs))
    count = {one: mine.count(one) for one in mine}, {one: theirs.count(one) for one in theirs}
    assert slower(*count)[0] == pytest.approx(pairs)


@given(st.integers(0, 499), st.integers(0, 100_000), st.integers(0, 100))
def test_too_few_of_either_are_no_verdict_whatever_they_say(few, many, failed):
    for canary, baseline in ((few, many), (many, few)):
        pair = Pair(Answers(canary, min(failed, canary)), Answers(baseline))
        assert judge([pair], min_requests=500, max_error_ratio=0.01).word == "inconclusive"
    assert judge([], min_requests=1, max_error_ratio=0.01).word == "inconclusive"


def test_false_alarms_of_equal_releases_are_rare():
    found = [
        judge([Pair(answered(4 * n + 1), answered(4 * n + 2)), Pair(answered(4 * n + 3), answered(4 * n + 4))],
              min_requests=500, max_error_ratio=0.01).word
        for n in range(0, 200)
    ]  # fmt: skip
    assert found.count("passed") == 200


@pytest.mark.parametrize(
    ("canary", "word", "name"),
    [
        ({"failed": 0.05}, "failed", "requests failed (5xx): canary"),
        ({"failed": 0.004}, "passed", ""),
        ({"refused": 0.2}, "failed", "requests refused (4xx): canary"),
        ({"median_s": 0.003}, "failed", "latency of orders: canary the slower one in"),
        ({"median_s": 0.00084}, "passed", ""),
        ({"slow": 0.08}, "failed", "orders slower than 5 ms: canary"),
        ({"median_s": 0.0004}, "passed", ""),
    ],
)
def test_known_cases(canary, word, name):
    found = verdict(canary, {})
    assert found.word == word, found.message
    assert name in found.message
    assert "(canary 2000, baseline 2000 requests)" in found.message


def test_what_both_do_is_not_the_new_releases_doing():
    """Halted by an operator, or a machine that is slow today."""
    assert (
        verdict(
            {"failed": 0.5, "refused": 0.3, "median_s": 0.02}, {"failed": 0.5, "refused": 0.3, "median_s": 0.02}
        ).word
        == "passed"
    )


def test_one_bad_moment_is_no_regression():
    """A pause of the process in one half makes many orders late; in the other all is well."""
    calm = Pair(answered(1), answered(2))
    paused = Pair(answered(3, slow=0.3), answered(4))
    assert judge([calm, paused], min_requests=500, max_error_ratio=0.01).word == "passed"
    assert judge([paused, paused], min_requests=500, max_error_ratio=0.01).word == "failed"


def test_limits_are_those_of_the_sources():
    assert 1 - NormalDist().cdf(Z) < 1 / 1990
    assert LARGE == 0.64


def test_answers_are_those_of_one_kind_and_of_who_trades():
    text = (
        'hft_gateway_requests_total{component="canary-1",route="POST /orders",status="201"} 8\n'
        'hft_gateway_requests_total{component="canary-2",route="POST /orders",status="504"} 2\n'
        'hft_gateway_requests_total{component="canary-1",route="GET /health",status="200"} 99\n'
        'hft_gateway_requests_total{component="gateway-1",route="POST /orders",status="201"} 77\n'
        'hft_gateway_requests_total{component="baseline-1",route="GET /orders",status="404"} 3\n'
        'hft_gateway_request_seconds_bucket{component="canary-1",route="POST /orders",le="0.001"} 5\n'
        'hft_gateway_request_seconds_bucket{component="canary-2",route="POST /orders",le="0.001"} 2\n'
        'hft_gateway_request_seconds_bucket{component="canary-2",route="POST /orders",le="+Inf"} 10\n'
    )
    assert answers(text, "canary") == Answers(10, 2, 0, {0.001: 7, INFINITE: 10})
    assert answers(text, "baseline") == Answers(3, 0, 3, {})
