"""Releases that are watched after they were recorded, over a target made of files: kept, taken back, interrupted, killed."""

import itertools
import os
import signal

import pytest

from hftctl.checks.slo import Sample
from hftctl.errors import Failed, Interrupted, NotFound
from hftctl.operations import bake
from hftctl.operations.deploy import deploy
from hftctl.operations.interrupted import abort, go_on, rollout_status
from hftctl.operations.running import start
from hftctl.operations.status import status
from tests.hftctl.targets.fake import FakeTarget, killed_at, points_of, profile

ROLLOUT = {"timeout_s": 5.0, "bake_s": 0.03, "min_requests": 10}


def proved(_target, rollout, _partitions, _database_was_down):
    return [{"order": {"order_id": "0-1", "client_order_id": rollout}}]


def counting(orders=100, **bad):
    """A look that finds so many more with every call; version 2 turns away so many of them."""
    count = itertools.count()

    def look(target):
        n, new = next(count), target.observe().get("nginx", {"settings": {"version": 0}})["settings"]["version"] == 2
        found = {name: value * n for name, value in bad.items()} if new else {}
        return Sample(orders=orders * n, **found)

    return look


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    for name, value in (("BEFORE_S", 0.01), ("LOOK_S", 0.005), ("UNREAD_S", 0.02)):
        monkeypatch.setattr(bake, name, value)
    deploy(profile(), targets=lambda _target, name: FakeTarget(tmp_path, name), no_build=True, prove=proved)
    return tmp_path


def new(home, at=lambda _point: None, *, version=2, rollout=None, **asked):
    wanted = profile(version=version, rollout=rollout or ROLLOUT)
    asked = {"prove": proved, "look": counting(), **asked}
    return deploy(wanted, targets=lambda _target, name: FakeTarget(home, name, at), no_build=True, **asked)


def run(home, verb, **asked):
    asked = {"prove": proved, "look": counting(), **asked}
    return verb("fake", targets=lambda _target, name: FakeTarget(home, name), **asked)


def version_of(home):
    return FakeTarget(home).observe()["nginx"]["settings"]["version"]


def test_a_good_release_stays_and_says_what_was_seen(home):
    told = []
    result = new(home, progress=told.append)
    assert (result.result, result.revision, version_of(home)) == ("ready", 2, 2)
    assert "nothing got worse: orders turned away 0.00 % of" in result.baked
    assert FakeTarget(home).journal().last().message == result.baked
    counted = [one.message for one in told if one.figures]
    assert counted[-1].startswith("0 s of 0.03 s left: orders turned away 0.00 %"), counted
    said = [one.state for one in told if one.subject == "bake" and not one.figures]
    assert said[0] == "waiting" and said[-1] == "ready" and len(said) <= 5, "one line per change of state"


def test_a_release_that_does_worse_is_taken_back_and_the_old_one_is_the_newest_revision(home):
    result = new(home, look=counting(turned_away=50))
    assert (result.result, result.revision, version_of(home)) == ("reverted", 3, 1)
    assert isinstance(result.error, Failed) and result.error.exit_code == 1
    assert "orders turned away: 50.00 %" in result.error.message.splitlines()[0]
    revisions = FakeTarget(home).revisions()
    assert revisions[2].release.hash == revisions[0].release.hash != revisions[1].release.hash
    assert revisions[2].proof["orders"], "what stands again was proved again"
    assert run(home, start).result == "unchanged"
    assert version_of(home) == 1


def test_a_death_while_it_bakes_takes_it_back(home):
    result = new(home, look=_dying())
    assert result.result == "reverted"
    assert "engine-0" in result.cause


def _dying():
    count = itertools.count()
    return lambda target: Sample(
        restarts={"engine-0": next(count) if version_of(target.layout.root.parent) == 2 else 0}
    )


def test_one_bad_look_is_no_regression(home):
    looks = itertools.count()

    def look(target):
        n = next(looks)
        return Sample(orders=100 * n, lag_s=100.0 if n == 4 else 0.0)

    assert new(home, look=look, rollout={**ROLLOUT, "bake_s": 0.1}).result == "ready"


def test_too_few_requests_keep_it_and_it_is_said(home):
    result = new(home, look=counting(orders=0))
    assert result.result == "ready"
    assert "too few requests to judge it by (0 of 10)" in result.baked


def test_without_metrics_it_is_taken_back(home):
    def look(target):
        if version_of(home) == 2:
            raise NotFound("GET /metrics: connection refused")
        return Sample()

    result = new(home, look=look)
    assert result.result == "reverted" and "metrics could not be read" in result.cause


@pytest.mark.parametrize("how", [{"bake": False}, {"wait": False}, {"rollout": {"timeout_s": 5.0}}])
def test_what_nobody_wants_watched_is_not(home, how):
    def look(_target):
        raise AssertionError("it looked")

    result = new(home, look=look, **how)
    assert (result.result, result.baked) == ("ready", "")


def test_a_repair_and_a_first_deploy_are_not_watched(home):
    new(home)
    FakeTarget(home)._write({})

    def look(_target):
        raise AssertionError("it looked")

    assert run(home, start, look=look).result == "ready"
    first = profile(name="first", rollout=ROLLOUT)
    made = deploy(first, targets=lambda _t, name: FakeTarget(home, name), no_build=True, prove=proved, look=look)
    assert (made.result, made.baked) == ("ready", "")


def interrupting(target):
    if version_of(target.layout.root.parent) == 2:
        os.kill(os.getpid(), signal.SIGINT)
    return Sample()


def test_ctrl_c_leaves_the_release_and_says_how_to_go_on(home):
    with pytest.raises(Interrupted, match="nobody watches its bake") as caught:
        new(home, look=interrupting)
    assert "rollout continue" in caught.value.hint and "rollout abort" in caught.value.hint
    assert version_of(home) == 2
    found = run(home, lambda name, targets, **_: rollout_status(name, targets=targets))
    assert (found.state, found.error.exit_code) == ("interrupted", 9)
    assert "is baking" in found.message and "nobody watches" in found.message


def test_it_is_no_interruption_while_somebody_watches(home):
    seen = []

    def look(target):
        if version_of(home) == 2:
            seen.append((rollout_status("fake", targets=lambda _t, name: FakeTarget(home, name)).state,
                         status("fake", targets=lambda _t, name: FakeTarget(home, name)).state))  # fmt: skip
        return Sample()

    new(home, look=look)
    assert set(seen) == {("baking", "ready")}


@pytest.mark.parametrize("again", [lambda home, **asked: run(home, go_on, **asked), new])
def test_going_on_watches_it_anew_and_may_take_it_back(home, again):
    with pytest.raises(Interrupted):
        new(home, look=interrupting)
    result = again(home, look=counting(turned_away=50))
    assert (result.result, result.revision, version_of(home)) == ("reverted", 3, 1)
    revisions = FakeTarget(home).revisions()
    assert revisions[2].release.hash == revisions[0].release.hash


def test_going_on_with_a_good_one_makes_no_further_revision(home):
    with pytest.raises(Interrupted):
        new(home, look=interrupting)
    assert (run(home, go_on).revision, version_of(home)) == (2, 2)
    assert FakeTarget(home).journal().unsettled() is None


def test_abort_goes_back_to_what_stood_before(home):
    with pytest.raises(Interrupted):
        new(home, look=interrupting)
    result = run(home, abort)
    assert (result.result, result.revision, version_of(home)) == ("ready", 3, 1)


def test_another_release_ends_the_bake_of_the_one_before(home):
    with pytest.raises(Interrupted):
        new(home, look=interrupting)
    assert new(home, version=3).revision == 3
    ended = FakeTarget(home).journal().rollouts()[-2]
    assert (ended.result, "ended its bake early" in ended.message) == ("ready", True)


@pytest.mark.parametrize("again", [go_on, start])
def test_killed_anywhere_the_bad_release_does_not_come_back(home, again):
    """Around each entry of the journal, each record, each change: of the rollout, its bake and its way back."""
    before = _copy(home)
    bad = counting(turned_away=50)
    points = points_of(lambda at: new(home, at, look=bad))
    assert "after journal baking" in points and "after journal reverting" in points
    for number, point in enumerate(points):
        if number < points.index("before journal baking"):
            continue  # until then it is a rollout like any other
        _restore(home, before)
        assert killed_at(number, lambda at: new(home, at, look=bad))
        result = run(home, again, look=bad)
        assert result.result in {"ready", "reverted", "unchanged"}, (point, result)
        target = FakeTarget(home)
        last = target.revisions()[-1]
        assert last.release.profile["version"] == version_of(home) == 1, point
        assert target.observe() == target.desired(last.release), point
        assert target.journal().unsettled() is None, point


def _copy(home):
    return {path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def _restore(home, files):
    for path in [path for path in home.rglob("*") if path.is_file()]:
        path.unlink()
    for name, content in files.items():
        (home / name).write_bytes(content)
