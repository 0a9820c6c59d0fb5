"""What hftctl bench makes of a benchmark's document; the benchmark itself needs a Docker engine."""

import json

import pytest

from benchmarks.docker_scaling import summary
from hftctl.cli import sender
from tests.hftctl.cli.conftest import Hftctl


class Options:
    short = False
    rounds, seconds, profile = 3, 4, "compose"


def run_of(rate, cpu_us=90.0):
    rates = {"per_s": rate, "per_s_min": rate - 1, "per_s_max": rate + 1}
    return rates | {"latency_ms": {"p50": 1.0, "p99": 3.0}, "cpu_us_per_order": {"all": cpu_us}}


def document(ours=(5000, 4900, 4800), seed=(1000, 1200, 900), local=()):
    found = {f"ours, {n} gateways": run_of(rate) for n, rate in zip((1, 4, 8), ours, strict=True)}
    found |= {f"seed design, {n} workers": run_of(rate, 900.0) for n, rate in zip((1, 4, 8), seed, strict=True)}
    if local:
        found |= {"local: ours": run_of(local[0]), "local: seed design, 2 workers": run_of(local[1], 810.0)}
    return summary([1, 4, 8], found, Options) | {"machine": {"cpus": 2}}


def measured(monkeypatch, found, code=0):
    monkeypatch.setattr(sender, "ended", lambda *_: (json.dumps(found), "", code))


def test_the_users_table_is_printed_with_its_ratios(hftctl_: Hftctl, monkeypatch):
    measured(monkeypatch, document())
    done = hftctl_("bench", "scaling")
    assert done.code == 0
    assert "ours, 8 gateways" in done.out and "seed design, 4 workers" in done.out
    assert "reach 0.96 of the best number of them (target 0.9); by processor time per order 1.0" in done.out
    assert "ours is 4.17 times the seed design; by processor time per order 10.0 times" in done.out


def test_the_document_keeps_its_schema(hftctl_: Hftctl, monkeypatch):
    measured(monkeypatch, document(local=(5500, 1100)))
    found = hftctl_("bench", "scaling", "-o", "json").document("Scaling")
    assert found["ratio_seed_local"] == 5.0 and found["within_the_factor"] and found["met"]
    assert (found["ratio_cpu"], found["ratio_seed_cpu"], found["ratio_seed_local_cpu"]) == (1.0, 10.0, 9.0)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (document(ours=(5000, 4000, 3000)), "reach 0.6 of the best number"),
        (document(local=(9000, 1000)), "4.17 times the seed design on Docker and 9.0 times without"),
    ],
)
def test_below_a_target_is_exit_11(hftctl_: Hftctl, monkeypatch, bad, why):
    measured(monkeypatch, bad, 11)
    done = hftctl_("bench", "scaling")
    assert done.code == 11 and why in done.err


def test_numbers_that_are_none_are_told(hftctl_: Hftctl):
    done = hftctl_("bench", "scaling", "--gateways", "1,many")
    assert done.code == 2 and "--gateways is '1,many'" in done.err
