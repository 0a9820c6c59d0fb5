"""What an engine that replays a long journal is said to do."""

import json
import os

import pytest

from hftctl.paths import Layout
from hftctl.plan.actuator import Answer
from hftctl.targets.local import readiness
from hftctl.targets.local.identity import identify
from hftctl.targets.local.process import Record, record_file


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path / "paper")
    layout.run.mkdir(parents=True)
    layout.partition(0).mkdir(parents=True)
    record = Record("engine-0", identify(os.getpid()), "", {}, 1, 0)
    record_file(layout.run, "engine-0").write_text(json.dumps(record.json()))
    return layout


def test_an_engine_that_replays_says_how_far_it_is(layout):
    said = {"pid": os.getpid(), "replayed": 120_000, "of": 500_000}
    (layout.partition(0) / "replaying.json").write_text(json.dumps(said))
    answer = readiness.of(layout, "engine-0", {})
    assert (answer.answer, answer.progress) == (Answer.WAITING, 120_000)
    assert answer.message == "engine-0 is replaying 120000 of 500000 commands of its journal"


def test_what_a_killed_engine_left_says_nothing(layout):
    (layout.partition(0) / "replaying.json").write_text(json.dumps({"pid": 1, "replayed": 1, "of": 2}))
    answer = readiness.of(layout, "engine-0", {})
    assert (answer.answer, answer.progress) == (Answer.WAITING, 0)
    assert "its admin door does not answer yet" in answer.message
