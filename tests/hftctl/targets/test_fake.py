"""The fake keeps the contract too: what is proved with it holds for targets that keep it."""

import pytest

from hftctl.plan.diff import change
from tests.hftctl.targets.contract import *  # noqa: F403
from tests.hftctl.targets.contract import Case
from tests.hftctl.targets.fake import FakeTarget, release


def break_engine(target):
    spec = target.observe()["engine-0"]
    target.apply(change("engine-0", spec, {**spec, "fate": "broken"}))
    return "engine-0"


@pytest.fixture
def case(tmp_path):
    return Case(
        open=lambda: FakeTarget(tmp_path),
        first=release(version=1),
        second=release(version=2, gateways=2),
        make_fail=break_engine,
        secrets=lambda _target: [],
    )
