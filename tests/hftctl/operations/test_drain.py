"""A drain on a target of files: what it waits for, what it says when it cannot end, and what stands then."""

import os
import signal

import pytest

from hftctl.checks.written import Written
from hftctl.errors import Interrupted, LockHeld, NotFound, NotReverted, Refused, UsageError
from hftctl.operations import drained
from hftctl.operations.deploy import deploy
from hftctl.operations.drain import drain
from hftctl.operations.events import events
from hftctl.operations.halt import resume
from hftctl.operations.running import stop
from hftctl.operations.status import status
from hftctl.plan.actuator import Answer, Readiness
from tests.hftctl.targets.fake import FakeTarget, profile


class Target(FakeTarget):
    def postgres(self, partition):
        return {}


@pytest.fixture
def targets(tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))
    found = lambda _target, name: Target(tmp_path, name)  # noqa: E731
    deploy(profile(), targets=found, no_build=True, prove=lambda *_: [{"order": {"order_id": "0-1"}}])
    return found


@pytest.fixture
def rows(monkeypatch):
    """What PostgreSQL answers, one after the other; the last one stays."""
    answers = [Written(7, 30, True)]

    def written(_connection, _partition, *, at_least):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(drained, "written", written)
    return answers


def said(targets):
    return [event.event for event in events(None, ["engine"], targets=targets).events]


def test_all_of_it_and_once_more(targets, rows):
    told = []
    result = drain(None, why="new kernel", targets=targets, progress=told.append)
    (one,) = result.partitions
    assert (result.result, result.error, one.left) == ("drained", None, ())
    assert (one.sequence, one.rows, one.snapshot, one.live_orders) == (7, 30, 7, 2)
    assert status(None, targets=targets).state == "halted"
    assert said(targets)[-2:] == ["halt", "drained"]
    assert next(progress.subject for progress in told) == "all"

    def nobody(_intention):
        raise AssertionError("there is nothing to ask")

    again = drain(None, targets=targets, confirm=nobody)
    assert (again.result, again.error) == ("unchanged", None)
    assert resume(None, why="kernel is new", targets=targets).error is None
    assert drain(None, targets=targets, dry_run=True).partitions[0].left == ("it takes orders",)


def test_it_waits_for_rows_and_tells_figures_apart_from_changes(targets, rows):
    rows[:] = [
        Written(1, 4, False),
        *(Written(number, 4, False) for number in (2, 3, 5)),
        Written(7, 30, False),
        Written(7, 30, True),
    ]
    told = []
    assert drain(None, targets=targets, progress=told.append).result == "drained"
    waited = [(one.figures, one.message) for one in told if one.state == "waiting"]
    assert (False, "PostgreSQL has commands up to 3 of 7") in waited
    assert (True, "PostgreSQL has commands up to 5 of 7") in waited


def test_without_postgresql_it_gives_up_and_the_halt_stands(targets, rows):
    rows[:] = [NotFound("connection refused")]
    result = drain(None, targets=targets, timeout_s=0.2)
    assert (result.result, result.error.exit_code) == ("unfinished", 12)
    assert "connection refused" in result.error.message
    assert "hftctl resume -p fake --why TEXT" in result.error.hint
    assert status(None, targets=targets).state == "halted"
    assert said(targets)[-1] == "drain-unfinished"
    rows[:] = [Written(7, 30, True)]
    assert drain(None, targets=targets).result == "unchanged", "the halt and the snapshot stood"


def test_what_failed_for_good_is_not_waited_for(targets, rows, monkeypatch):
    rows[:] = [NotFound("connection refused")]
    dead = Readiness(Answer.FAILED, "postgres-0 dies again and again")
    monkeypatch.setattr(Target, "readiness", lambda _self, _subject: dead)
    result = drain(None, targets=targets, timeout_s=60)
    assert result.error.exit_code == 8
    assert "postgres-0 dies again and again" in result.error.message


def test_a_snapshot_that_cannot_be_taken_is_said(targets, rows, monkeypatch):
    monkeypatch.setattr(Target, "snapshot_error", "No space left on device")
    result = drain(None, targets=targets)
    assert result.error.exit_code == 8
    assert "no snapshot could be taken: No space left on device" in result.error.message


def test_ctrl_c_says_what_stands(targets, rows):
    rows[:] = [Written(1, 4, False)]

    def press(progress):
        if progress.state == "waiting":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        drain(None, targets=targets, progress=press)
    assert "new orders are still refused" in caught.value.message
    assert caught.value.hint == ("go on: hftctl drain -p fake; or take orders again: hftctl resume -p fake --why TEXT")
    assert status(None, targets=targets).state == "halted"
    assert said(targets)[-1] == "drain-unfinished"


def test_a_resume_in_the_middle_ends_it(targets, rows):
    rows[:] = [Written(1, 4, False)]

    def back(progress):
        if progress.state == "waiting":
            resume(None, why="no, trade on", targets=targets)

    result = drain(None, targets=targets, progress=back, timeout_s=60)
    assert result.error.exit_code == 8
    assert "somebody resumed it meanwhile" in result.error.message


def test_refused_before_anything_is_changed(targets, rows):
    with pytest.raises(UsageError):
        drain(None, why="x" * 45, targets=targets)
    with pytest.raises(Refused, match="declined"):
        drain(None, targets=targets, confirm=lambda _: False)
    with targets("fake", "fake").lock("a long deploy", wait_s=0), pytest.raises(LockHeld):
        drain(None, targets=targets)
    assert status(None, targets=targets).state == "ready"
    stop(None, targets=targets)
    with pytest.raises(Refused, match="it was stopped"):
        drain(None, targets=targets)


def test_an_engine_that_cannot_be_halted_is_no_drain(targets, rows):
    target = targets("fake", "fake")
    target._write({name: spec for name, spec in target.observe().items() if name != "engine-0"})
    with pytest.raises(NotReverted, match="it still takes orders"):
        drain(None, targets=targets)
    assert said(targets)[-1] == "drain-unfinished"
