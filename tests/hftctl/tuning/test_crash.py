"""Death at system calls of apply and of revert, by SIGKILL in a process of its own: what stood before is found again.

Every call that changes something on a disk is counted; a child dies right before the n-th one, or after half of what it was
to write. The short form takes one in 31; `python -m tests.hftctl.tuning.deaths` takes them all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hftctl.tuning import deaths

SHORT_STEP = 31


@pytest.mark.parametrize("torn", [False, True], ids=["between", "torn"])
@pytest.mark.parametrize("verb", ["apply", "revert"])
def test_a_death_anywhere_loses_nothing(shm: Path, verb: str, torn: bool) -> None:
    outcome = deaths.rounds(shm, verb, torn=torn, step=SHORT_STEP)
    assert outcome.calls > (100 if torn else 300)
    assert outcome.tried > 3
    assert outcome.lost == []


@pytest.fixture
def shm(tmp_path: Path) -> Path:
    """In memory where there is such a place: thousands of syncs."""
    return deaths.place(tmp_path)
