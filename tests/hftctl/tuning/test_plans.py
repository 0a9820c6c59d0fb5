"""Golden plans: what is proposed to each machine, word for word. Written anew with HFTCTL_GOLDEN=1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hftctl.cli.tune_view import show_plan
from hftctl.operations import tune_plan
from hftctl.operations.tune_plan import Asked
from hftctl.tuning.host_profiles.catalog import PROFILES
from hftctl.tuning.knobs.catalog import KNOBS
from tests.hftctl.tuning.machines import MACHINES, machine
from tests.hftctl.tuning.trees import snapshot

GOLDEN = Path(__file__).parent / "golden"
CASES = [*((name, "") for name in MACHINES), ("amd-two-socket", "latency-extreme"), ("intel-one-socket", "throughput")]


@pytest.mark.parametrize(("name", "profile"), CASES, ids=lambda one: one or "fitting")
def test_a_plan_is_as_it_was_agreed_on(tmp_path: Path, name: str, profile: str) -> None:
    root = machine(tmp_path, name)
    before = snapshot(root)
    said: list[str] = []
    made = tune_plan.plan(root, Asked(profile))
    show_plan(made, said.append)
    assert snapshot(root) == before
    text = "\n".join(said) + "\n"
    golden = GOLDEN / f"{name}-{made.asked.profile}.txt"
    if os.environ.get("HFTCTL_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_every_profile_says_for_whom_it_is_and_why_each_value() -> None:
    for profile in PROFILES.values():
        assert profile.who
        assert profile.gives_up
        for choice in profile.choices:
            assert choice.knob in KNOBS
            assert len(choice.why.split()) > 3


def test_every_knob_is_turned_by_a_profile() -> None:
    assert {choice.knob for profile in PROFILES.values() for choice in profile.choices} == set(KNOBS)
