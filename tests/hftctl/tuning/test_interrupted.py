"""What an apply that did not come to its end leaves to the next command, and to the next start of the machine."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from hftctl.errors import Interrupted, LockHeld
from hftctl.operations import tune_apply
from hftctl.operations.host import open_host
from hftctl.operations.tune_show import show
from hftctl.targets.flock import hold
from hftctl.tuning.state import HostState
from tests.hftctl.tuning import deaths
from tests.hftctl.tuning.driving import apply, asked, plan, revert
from tests.hftctl.tuning.machines import SMALL
from tests.hftctl.tuning.trees import STATE, build, snapshot

MIDDLE = 400  # of the system calls of an apply: files are written, values are being written


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return build(tmp_path / "small", SMALL)


def die(root: Path, profile: str) -> None:
    assert deaths.child(lambda one: apply(one, profile), root, MIDDLE, torn=False) == -1


def test_the_next_start_takes_it_back(small: Path) -> None:
    before = snapshot(small)
    die(small, "latency")
    assert snapshot(small) != before
    assert apply(small, boot=True).cause == "what was interrupted is taken back"
    assert snapshot(small) == before
    assert revert(small).result == "unchanged"


def test_the_next_start_leads_back_to_the_profile_that_stood_before(small: Path) -> None:
    apply(small, "virtual-machine")
    stood = snapshot(small)
    die(small, "latency")
    assert snapshot(small) != stood
    assert apply(small, boot=True).result in {"ready", "unchanged"}
    assert snapshot(small) == stood
    assert show(small).profile == "virtual-machine"


@pytest.mark.parametrize("at", [150, 600, 1000, -12, -8, -6, -4])
def test_the_next_start_goes_on_with_a_revert(small: Path, at: int) -> None:
    """Also at its last calls, when the ledger has let go of what stood before: taken back it would be lost for good."""
    before = snapshot(small)
    apply(small, "latency-extreme")
    copy = small.with_name("copy")
    shutil.copytree(small, copy, symlinks=True)
    calls = deaths.child(revert, copy, 0, torn=False)
    assert deaths.child(revert, small, at if at > 0 else calls + at, torn=False) == -1
    result = apply(small, boot=True)
    assert (result.verb, result.result) == ("revert", "ready")
    assert snapshot(small) == before
    assert show(small).profile == show(small).interrupted == ""


def test_it_is_shown_and_the_next_apply_goes_on(small: Path) -> None:
    die(small, "latency")
    assert show(small).interrupted == "apply of latency"
    assert plan(small, "latency").interrupted == "apply of latency"
    assert apply(small, "latency").result == "ready"
    assert show(small).interrupted == ""


def test_a_signal_stops_at_a_safe_point_and_says_how_to_go_on(small: Path) -> None:
    before = snapshot(small)

    def report(progress) -> None:
        if progress.subject == "kernel:/proc/sys/vm/swappiness" and progress.state == "applying":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped by SIGINT") as error:
        tune_apply.apply(small, asked("latency"), confirm=lambda _made: True, progress=report)
    assert "hftctl tune revert" in error.value.hint
    assert (small / "proc/sys/vm/swappiness").read_text() == "10\n", "what was begun is ended"
    revert(small)
    assert snapshot(small) == before


def test_two_at_once_are_one_after_the_other(small: Path) -> None:
    before = snapshot(small)
    lock = HostState(open_host(small)).lock
    with (
        hold(lock, deployment="x", holder="ana@desk3", why="tune apply", wait_s=0),
        pytest.raises(LockHeld, match="ana@desk3"),
    ):
        apply(small, "latency")
    assert snapshot(small) == before
    assert not (small / STATE / "ledger").exists()
