"""The short form of the power cuts; `python -m tests.faults.power` is the long one."""

from pathlib import Path

import pytest

from tests.faults import shim
from tests.faults.power import Storm, storm
from tests.faults.shim.image import Entry, Kind

needs_shim = pytest.mark.skipif(bool(shim.missing()), reason=shim.missing())


@pytest.mark.lab
@pytest.mark.timeout(180)
@needs_shim
def test_a_power_cut_loses_nothing_that_was_acknowledged():
    outcome = storm(10, 20261121)
    assert not outcome.problems
    assert len(outcome.cuts) == 10 and outcome.syncs > 50
    assert sum(cut.acknowledged for cut in outcome.cuts) > 100


@pytest.mark.lab
@pytest.mark.timeout(180)
@needs_shim
def test_the_same_cuts_find_losses_when_the_syncs_do_nothing():
    outcome = storm(12, 20261121, drop_syncs=True, until_lost=True)
    assert outcome.lost > 0


def test_a_cut_comes_after_some_entry_even_where_the_first_one_changes_a_name(tmp_path):
    entries = [Entry(end, kind, 1, 0, 0, Path(), Path(), b"x") for end, kind in ((60, Kind.UNLINK), (90, Kind.WRITE))]
    moments = {Storm(tmp_path / str(seed), str(seed), drop_syncs=False)._moment(entries) for seed in range(100)}
    assert moments == {1, 2}
