"""What is there and out of reach is told apart from what works, without a Docker engine."""

import json

import pytest

from hftctl.plan.change import Op
from hftctl.plan.diff import diff
from hftctl.targets.compose import names, standing
from hftctl.targets.compose.containers import Found
from hftctl.targets.differing import AWAY, differing

HERE = "hftctl-test-data"


def found(state, networks, mode=HERE):
    labels = {names.SPEC: json.dumps({"container": {"HostConfig": {"NetworkMode": mode}}})}
    return Found("id", "hftctl-test-gateway-1", "gateway-1", state, labels, networks)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (found("running", (HERE,)), ""),
        (found("running", ()), f"cut off from {HERE}"),
        (found("paused", (HERE,)), "paused"),
        (found("running", ("none",), "none"), ""),
    ],
)
def test_what_keeps_a_container_from_its_work(one, said):
    assert standing.away(one) == said


def test_what_is_out_of_reach_is_brought_back_by_a_start_and_is_no_drift_of_its_settings():
    desired, observed = {"redis": {"image": "x"}}, {"redis": {"image": "x", AWAY: "paused"}}
    assert [(one.op, one.cause) for one in diff(desired, observed).pending] == [(Op.UPDATE, "away paused -> (none)")]
    assert list(differing(desired, observed, "hftctl start")) == []
