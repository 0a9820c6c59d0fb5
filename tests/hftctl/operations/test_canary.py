"""Gateways that take few requests first, over a target made of files: promoted, taken back, paused, interrupted, killed."""

import itertools
import os
import shutil
import signal
import time

import pytest

from hftctl.checks.canary import Answers, Pair
from hftctl.errors import Failed, Inconclusive, Interrupted, NotFound, Refused
from hftctl.operations import canary
from hftctl.operations.changing import rollback
from hftctl.operations.deploy import deploy
from hftctl.operations.interrupted import abort, go_on, rollout_status
from hftctl.operations.running import start
from hftctl.operations.status import status
from hftctl.plan.actuator import Answer, Readiness
from tests.hftctl.targets.fake import FakeTarget, killed_at, points_of, profile

ROLLOUT = {"timeout_s": 5.0, "canary": [5, 25, 100], "canary_step_s": 0.02, "min_requests": 10}
BESIDE = ["baseline-1", "canary-1"]


def proved(_target, rollout, _partitions, _database_was_down):
    return [{"order": {"order_id": "0-1", "client_order_id": rollout}}]


def counting(**bad):
    """Answers that grow by 100 with every look; of the canary so many are bad."""
    count = itertools.count()

    def compare(_target):
        n = next(count)
        return Pair(Answers(100 * n, **{name: value * n for name, value in bad.items()}), Answers(100 * n))

    return compare


class Dividing(FakeTarget):
    """Records each division of requests that its door was told."""

    def apply(self, change):
        super().apply(change)
        if change.subject == "nginx" and change.after:
            with (self.layout.root / "divided").open("a") as file:
                file.write(f"{change.after.get('percent', 0)} ")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    for name, value in (("LOOK_S", 0.005), ("UNREAD_S", 0.03)):
        monkeypatch.setattr(canary, name, value)
    deploy(profile(), targets=lambda _target, name: FakeTarget(tmp_path, name), no_build=True, prove=proved)
    return tmp_path


def new(home, at=lambda _point: None, *, version=2, target=Dividing, rollout=None, **asked):
    wanted = profile(version=version, rollout=rollout or ROLLOUT)
    asked = {"prove": proved, "compare": counting(), **asked}
    return deploy(wanted, targets=lambda _target, name: target(home, name, at), no_build=True, **asked)


def run(home, verb, **asked):
    asked = {"prove": proved, "compare": counting(), **asked}
    return verb("fake", targets=lambda _target, name: Dividing(home, name), **asked)


def divided(home):
    path = FakeTarget(home).layout.root / "divided"
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def standing(home):
    """The version of gateways and door, and what is beside them."""
    found = FakeTarget(home).observe()
    versions = {found[name]["settings"]["version"] for name in ("gateway-0", "nginx", "engine-0")}
    assert found["nginx"].get("percent", 0) == 0 or set(BESIDE) <= set(found)
    return sorted(versions), [name for name in found if name in BESIDE], found["nginx"].get("percent", 0)


def test_a_good_release_goes_step_by_step_and_nothing_is_left_beside_it(home):
    told = []
    result = new(home, progress=told.append)
    assert (result.result, result.revision) == ("ready", 2)
    assert divided(home) == [5, 25, 0]
    assert standing(home) == ([2], [], 0)
    assert [one.partition(":")[0] for one in result.canary] == ["canary at 5 %", "canary at 25 %"]
    assert "requests failed (5xx): canary 0.00 % of" in result.canary[0]
    said = [one.state for one in told if one.subject == "canary" and not one.figures]
    assert said == ["watching", "ready", "watching", "ready"]
    order = [change.subject for change in FakeTarget(home).journal().last().changes]
    assert order == [
        "postgres-0", "engine-0", *BESIDE, "nginx", "nginx", "gateway-0", "nginx", "canary-1", "baseline-1",
    ]  # fmt: skip


def test_a_dry_run_and_the_confirmation_show_the_steps_that_will_be_made(home):
    asked = []
    planned = new(home, dry_run=True)
    with pytest.raises(Refused) as declined:
        new(home, confirm=asked.append)  # which answers nothing, so no
    assert "was declined" in declined.value.message
    assert divided(home) == []
    done = new(home)
    made = [(one.subject, one.cause) for one in FakeTarget(home).journal().last().changes]
    assert ("nginx", "5 % of all requests to the canary") in made
    for plan in (planned.plan, asked[0].plan, done.plan):
        assert [(one.subject, one.cause) for one in plan.pending] == made


def test_without_a_canary_the_steps_are_not_shown(home):
    assert [one.subject for one in new(home, dry_run=True, canary=False).plan.pending if one.subject in BESIDE] == []


def test_a_release_that_does_worse_is_taken_back_and_the_first_line_says_what_was_worse(home):
    result = new(home, compare=counting(failed=20))
    assert result.result == "reverted"
    assert isinstance(result.error, Failed)
    line = result.error.message.splitlines()[0]
    assert "the canary at 5 %: requests failed (5xx): canary 20.00 % of" in line
    assert ", baseline 0.00 % of" in line
    assert standing(home) == ([1], [], 0)
    assert divided(home) == [5, 0]


def test_a_canary_that_dies_is_taken_back(home):
    class Dying(Dividing):
        def readiness(self, subject):
            if subject == "canary-1" and self.observe()["nginx"].get("percent"):
                return Readiness(Answer.WAITING, "canary-1 died (exit status 1) and is started again")
            return super().readiness(subject)

    result = new(home, target=Dying)
    assert result.result == "reverted"
    assert "canary-1 died (exit status 1)" in result.error.message.splitlines()[0]
    assert standing(home) == ([1], [], 0)


def test_too_few_requests_pause_and_every_command_says_so(home):
    result = new(home, compare=lambda _target: Pair(Answers(3), Answers(3)))
    assert result.result == "paused"
    assert isinstance(result.error, Inconclusive) and result.error.exit_code == 8
    assert "paused: canary at 5 %: too few requests to judge it by: canary 0, baseline 0" in result.error.message
    assert "hftctl rollout continue -p fake" in result.error.hint
    assert standing(home) == ([1, 2], BESIDE, 5)
    seen = run_plain(home, status)
    assert seen.state == "paused" and seen.error.exit_code == 9
    assert "hftctl rollout continue -p fake" in seen.hint and "rollout abort" in seen.hint
    assert seen.findings == ()
    assert run_plain(home, rollout_status).state == "paused"


def run_plain(home, look):
    return look("fake", targets=lambda _target, name: FakeTarget(home, name))


def paused(home):
    new(home, compare=lambda _target: Pair(Answers(3), Answers(3)))


def test_a_paused_one_looks_again_and_goes_on(home):
    paused(home)
    result = run(home, go_on)
    assert (result.result, result.verb) == ("ready", "deploy")
    assert divided(home) == [5, 5, 25, 0]
    assert standing(home) == ([2], [], 0)


def test_a_paused_one_goes_on_without_a_canary_when_somebody_says_so(home):
    paused(home)
    assert run(home, go_on, canary=False).result == "ready"
    assert divided(home) == [5, 0]
    assert standing(home) == ([2], [], 0)


@pytest.mark.parametrize("back", [abort, start])
def test_a_paused_one_goes_back(home, back):
    paused(home)
    assert run(home, back).result == "ready"
    assert standing(home) == ([1], [], 0)


def test_metrics_that_cannot_be_read_are_no_verdict(home):
    def unread(_target):
        raise NotFound("GET /metrics: 502")

    result = new(home, compare=unread)
    assert result.result == "paused" and "metrics could not be read" in result.cause


def test_looks_that_take_longer_than_the_window_are_no_lack_of_requests(home):
    count = counting()

    def slowly(target):
        time.sleep(0.03)
        return count(target)

    assert new(home, compare=slowly).result == "ready"


def test_steps_that_were_passed_are_not_taken_again(home):
    count = itertools.count()

    def then_nobody(_target):
        n = next(count)
        return Pair(Answers(100 * n), Answers(100 * n)) if divided(home)[-1] == 5 else Pair(Answers(1), Answers(1))

    assert new(home, compare=then_nobody).result == "paused"
    assert run(home, go_on).result == "ready"
    assert divided(home) == [5, 25, 25, 0]


def test_ctrl_c_leaves_a_step_that_the_next_command_takes_again(home):
    def interrupting(_target):
        os.kill(os.getpid(), signal.SIGINT)
        return Pair(Answers(1), Answers(1))

    with pytest.raises(Interrupted) as error:
        new(home, compare=interrupting)
    assert "hftctl rollout continue -p fake" in error.value.hint
    assert run(home, go_on).result == "ready"
    assert standing(home) == ([2], [], 0)


def test_going_back_and_repairing_take_no_canary(home):
    new(home)
    assert divided(home) == [5, 25, 0]
    asked = {"prove": proved, "compare": counting()}
    assert rollback("fake", targets=lambda _target, name: Dividing(home, name), **asked).result == "ready"
    assert divided(home)[3:] == [0]
    assert new(home, canary=False).result == "ready"
    assert divided(home)[4:] == [0]


@pytest.mark.parametrize(("verb", "first"), [(go_on, 0), (abort, 1)])
def test_wherever_it_is_killed_the_next_command_ends_at_one_release(home, tmp_path_factory, verb, first):
    """Each verb after every other point; each on a deployment of its own, whose journal is short."""
    places = tmp_path_factory.mktemp("killed")
    shutil.copytree(home, places / "whole")
    points = points_of(lambda hook: new(places / "whole", hook))
    assert sum("canary" in point for point in points) > 6
    for number in range(first, len(points), 2):
        place = places / str(number)
        shutil.copytree(home, place)
        assert killed_at(number, lambda hook, place=place: new(place, hook))
        ended = run(place, verb)
        assert ended.result in ("ready", "unchanged"), (points[number], ended.cause)
        versions, beside, percent = standing(place)
        assert (len(versions), beside, percent) == (1, [], 0), (points[number], verb)
