"""The short form; `python -m tests.faults.nth_sync` kills at each of the first 200 syncs."""

import pytest

from tests.faults import shim
from tests.faults.nth_sync import kill_at_each

NUMBERS = [1, 7, 19, 45, 60]


@pytest.mark.lab
@pytest.mark.timeout(180)
@pytest.mark.skipif(bool(shim.missing()), reason=shim.missing())
def test_an_engine_that_is_killed_at_any_sync_keeps_what_it_acknowledged():
    outcome = kill_at_each(NUMBERS, 20261121)
    assert not outcome.problems
    assert outcome.kills == {"before": len(NUMBERS), "after": len(NUMBERS)}, "each kill hit"
    assert outcome.acknowledged > 50
