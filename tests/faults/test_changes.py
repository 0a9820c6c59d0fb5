"""The short forms of the tests of changes under load and of kills at journal boundaries."""

import asyncio

import pytest

from tests.faults.boundaries import boundaries
from tests.faults.changes import changes, steps


@pytest.mark.lab
@pytest.mark.timeout(400)
def test_nobody_notices_changes_under_load():
    outcome = asyncio.run(changes("gateway", 20261121, short=True))
    assert outcome.failures == []
    assert outcome.verdict.name == "valid", outcome.verdict.broken[:5] + outcome.verdict.incomplete
    assert not outcome.problems
    assert [step.name for step in outcome.steps] == [step.name for step in steps(short=True)]
    assert outcome.verdict.counts["place ok"] > 300


@pytest.mark.lab
@pytest.mark.timeout(400)
def test_killed_at_a_journal_boundary_the_next_command_converges():
    outcome = asyncio.run(boundaries(["restart"], 20261121, lambda found: found[1::4]))
    assert [kill.problems for kill in outcome.ends if kill.problems] == []
    told = {
        kill.told for kill in outcome.ends
    }  # `strike` knows which of them may be: "ready" only behind the last entry
    assert {"interrupted"} <= told <= {"interrupted", "ready"}
    assert outcome.verdict.name == "valid", outcome.verdict.broken[:5] + outcome.verdict.incomplete
    assert not outcome.problems
