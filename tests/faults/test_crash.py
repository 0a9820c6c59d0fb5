"""The short form of the kill test; `make crash` is the long one."""

import asyncio

import pytest

from tests.faults.crash import VICTIMS, crash


@pytest.mark.lab
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("layout", "seed"), [("engine", 20261121), ("gateway", 20261122)])
def test_nothing_is_lost_or_doubled_when_everything_is_killed(layout, seed):
    outcome = asyncio.run(crash(len(VICTIMS), seed, clients=16, round_s=2.0, layout=layout))
    assert outcome.verdict.name == "valid", outcome.verdict.broken[:5] + outcome.verdict.incomplete
    assert not outcome.problems
    assert {r.victim for r in outcome.rounds} == set(VICTIMS)
    assert outcome.verdict.counts["place ok"] > 500
