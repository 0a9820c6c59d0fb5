"""The short form of the power cuts; `python -m tests.faults.power` is the long one."""

import pytest

from tests.faults import shim
from tests.faults.power import storm

pytestmark = [
    pytest.mark.lab, pytest.mark.timeout(180), pytest.mark.skipif(bool(shim.missing()), reason=shim.missing()),
]  # fmt: skip


def test_a_power_cut_loses_nothing_that_was_acknowledged():
    outcome = storm(10, 20261121)
    assert not outcome.problems
    assert len(outcome.cuts) == 10 and outcome.syncs > 100
    assert sum(cut.acknowledged for cut in outcome.cuts) > 100


def test_the_same_cuts_find_losses_when_the_syncs_do_nothing():
    outcome = storm(12, 20261121, drop_syncs=True, until_lost=True)
    assert outcome.lost > 0
