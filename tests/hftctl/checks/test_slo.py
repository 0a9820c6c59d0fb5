"""Whether a release that bakes does worse: figures of two samples, judged."""

from dataclasses import replace

import pytest

from hftctl.checks import samples
from hftctl.checks.slo import Figure, Sample, Slo, figures, judge, standing

SLO = Slo(bake_s=10, min_requests=100, max_error_ratio=0.01, max_p99_us=10_000, max_lag_s=60, max_restarts=0)
DOOR = "p99 at the engine's door"


def errors(ratio, requests=1000):
    return Figure("orders turned away", ratio, requests)


def latency(us, requests=1000):
    return Figure(DOOR, us, requests, latency=True)


def test_figures_are_of_what_came_between_two_samples():
    first = Sample(orders=1000, turned_away=500, requests=10, failed=0, latency={"here": {0.001: 900, 0.01: 1000}})
    last = Sample(orders=1200, turned_away=510, requests=30, failed=1, latency={"here": {0.001: 1000, 0.01: 1200}})
    found = {figure.name: figure for figure in figures(first, last)}
    assert found["orders turned away"] == Figure("orders turned away", 0.05, 200)
    assert found["requests failed at the gateways"].value == 0.05
    assert found["p99 here"] == Figure("p99 here", 10_000, 200, latency=True)


def test_the_p99_is_the_bound_that_99_of_100_do_not_exceed():
    def found(*counts):
        grown = dict(zip((0.001, 0.01, float("inf")), counts, strict=True))
        return figures(Sample(), Sample(latency={"here": grown}))[0].value

    assert found(990, 1000, 1000) == 1000
    assert found(989, 1000, 1000) == 10_000
    assert found(0, 0, 1000) == 10_000  # no more than the last bound is known


def test_nothing_is_figured_from_nothing():
    assert figures(Sample(orders=5, latency={"here": {1.0: 5}}), Sample(orders=5, latency={"here": {1.0: 5}})) == []


def test_a_counter_that_began_anew_counts_from_nothing():
    assert figures(Sample(orders=1000), Sample(orders=200)) == [Figure("orders turned away", 0.0, 200)]


def test_what_an_operator_halted_is_no_failure():
    found = figures(Sample(wanted=50), Sample(requests=100, failed=90, wanted=140))
    assert found[0].value == 0.0


@pytest.mark.parametrize(
    ("now", "before", "worse"),
    [
        ([errors(0.011)], [], True),
        ([errors(0.010)], [], False),
        ([errors(0.9, requests=99)], [], False),  # too few to judge by
        ([errors(0.010)], [errors(0.0)], False),  # what is allowed is allowed
        ([errors(0.30)], [errors(0.10)], False),  # it was above before: not the release's doing
        ([errors(0.60)], [errors(0.10)], True),
        ([errors(0.30)], [errors(0.10, requests=99)], True),  # too few before: the threshold holds
        ([latency(10_001)], [], True),
        ([latency(10_000)], [], False),
        ([latency(6_000)], [latency(1_000)], True),  # five times worse, though below the threshold
        ([latency(5_000)], [latency(1_000)], False),
        ([latency(900)], [latency(10)], False),  # below a tenth of the threshold it is noise
        ([latency(1_100)], [latency(10)], True),
        ([latency(40_000)], [latency(20_000)], False),
    ],
)
def test_worse_is_what_crosses_its_limit_and_did_not_before(now, before, worse):
    assert bool(judge(now, before, SLO)) is worse


def test_a_sentence_says_what_was_seen_allowed_and_before():
    said = judge([latency(20_000)], [latency(1_000)], SLO)
    assert said == [f"{DOOR}: 20000 us of 1000 requests, 5000 us is allowed, 1000 us just before the rollout"]


def test_a_death_is_a_verdict_and_a_lag_may_pass():
    first = Sample(restarts={"engine-0": 3}, lag_s=2)
    assert standing(first, replace(first, restarts={"engine-0": 3, "gateway-2": 0}), SLO) == ([], [])
    died, behind = standing(first, replace(first, restarts={"engine-0": 4}, lag_s=61), SLO)
    assert died == ["died and was started again: engine-0 1 time; 0 restarts are allowed"]
    assert behind == ["the persister is 61 s behind, 60 s is allowed"]
    assert standing(first, replace(first, restarts={"engine-0": 4}), replace(SLO, max_restarts=1))[0] == []
    assert standing(replace(first, lag_s=90), replace(first, lag_s=80), SLO)[1] == []  # it catches up


def test_a_release_from_before_there_were_keys_does_not_bake():
    assert Slo.of({"timeout_s": 120}) == Slo()
    assert Slo.of({"timeout_s": 120, "bake_s": 5, "max_restarts": 2}) == Slo(bake_s=5, max_restarts=2)


def test_a_sample_is_read_from_what_components_tell():
    text = """
# TYPE hft_commands_total counter
hft_commands_total{partition="0"} 100
hft_commands_total{partition="1"} 50
# TYPE hft_busy_total counter
hft_busy_total{partition="0"} 7
# TYPE hft_refusals_total counter
hft_refusals_total{partition="0",reason="book_full"} 3
hft_refusals_total{partition="0",reason="halted"} 2
hft_refusals_total{partition="0",reason="bad_price"} 9
# TYPE hft_gateway_requests_total counter
hft_gateway_requests_total{component="gateway-1",route="POST /orders",status="201"} 20
hft_gateway_requests_total{component="gateway-1",route="POST /orders",status="503"} 4
hft_gateway_requests_total{component="gateway-1",route="GET /health/ready",status="503"} 1000
# TYPE hft_stage_seconds histogram
hft_stage_seconds_bucket{partition="0",stage="total",le="0.001"} 90
hft_stage_seconds_bucket{partition="0",stage="total",le="+Inf"} 100
hft_stage_seconds_bucket{partition="0",stage="match",le="0.001"} 100
# TYPE hft_persister_lag_seconds gauge
hft_persister_lag_seconds{component="persister-0",partition="0"} 1.5
hft_persister_lag_seconds{component="persister-1",partition="1"} 0.5
"""
    assert samples.of(text, [("engine-0", 1)]) == Sample(
        orders=157,
        turned_away=10,
        requests=24,
        failed=4,
        wanted=2,
        latency={"at the engine's door": {0.001: 90, float("inf"): 100}},
        lag_s=1.5,
        restarts={"engine-0": 1},
    )
