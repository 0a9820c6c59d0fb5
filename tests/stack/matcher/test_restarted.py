"""An engine that dies and starts again, from snapshots or from the journal alone, answers as one that never died."""

from __future__ import annotations

import pytest

from stack.matcher import commits

pytest.importorskip("stack.matcher.packed", reason="nothing is compiled here")
from tests.stack.matcher import fuzz_restarts


@pytest.mark.parametrize("seed", [3])
def test_nobody_can_tell_that_the_engine_died(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "SYNC_INLINE_MAX_S", 3600.0)
    assert fuzz_restarts.compare(seed, 15) == ""
