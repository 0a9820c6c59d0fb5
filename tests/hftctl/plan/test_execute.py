import os
import signal

import pytest

from hftctl.errors import Failed
from hftctl.plan.actuator import Answer, Readiness
from hftctl.plan.diff import diff
from hftctl.plan.execute import Execution, Limits, Stopped
from hftctl.plan.interrupts import Interrupts
from hftctl.plan.journal import RolloutJournal


class Parts:
    """An actuator in memory; `answers` are given in turn, the last one for ever."""

    def __init__(self, state=(), answers=None):
        self.state = dict(state)
        self.answers = answers or {}
        self.applied = []

    def observe(self):
        return dict(self.state)

    def apply(self, change):
        self.applied.append((change.op.value, change.subject))
        if change.after is None:
            self.state.pop(change.subject, None)
        else:
            self.state[change.subject] = change.after

    def readiness(self, subject):
        answers = self.answers.get(subject, [])
        answer = answers.pop(0) if len(answers) > 1 else answers[0] if answers else (Answer.READY, "answers")
        return Readiness(*answer)


@pytest.fixture
def execute(tmp_path):
    journal = RolloutJournal(tmp_path / "rollout.journal")

    def execute(parts, desired, *, interrupts=None, evidence=lambda _subject: (), **limits):
        heard = []
        rollout = journal.begin(
            "r1",
            verb="deploy",
            actor="a",
            why="",
            from_revision=0,
            to_release="",
            changes=diff(desired, parts.observe()).pending,
        )
        execution = Execution(
            parts,
            journal,
            rollout,
            limits=Limits(**limits),
            progress=heard.append,
            evidence=evidence,
            interrupts=interrupts or Interrupts(),
        )
        return execution, heard, journal

    return execute


def states(heard):
    return [(p.subject, p.state) for p in heard]


def test_each_state_change_is_told_once(execute):
    waiting = (Answer.WAITING, "is starting")
    parts = Parts(answers={"a": [waiting, waiting, waiting, (Answer.WAITING, "replays 1 of 2"), (Answer.READY, "up")]})
    execution, heard, _ = execute(parts, {"a": {}})
    assert execution.apply() is None
    assert [p.message for p in heard] == ["create (not there)", "is starting", "replays 1 of 2", "up"]


def test_settling_tells_only_what_is_not_ready(execute):
    parts = Parts(
        {"kept": {}}, answers={"b": [(Answer.READY, "up"), (Answer.WAITING, "is back at it"), (Answer.READY, "up")]}
    )
    execution, heard, _ = execute(parts, {"kept": {}, "a": {}, "b": {}})
    assert execution.apply() is None
    heard.clear()
    assert execution.settle(["kept", "a", "b"]) is None
    assert states(heard) == [("b", "waiting"), ("b", "ready")]


def test_a_part_that_failed_for_good_is_not_waited_for(execute):
    parts = Parts(answers={"a": [(Answer.FAILED, "exited with 1: bad configuration")]})
    execution, heard, journal = execute(parts, {"a": {}, "b": {}}, timeout_s=3600)
    failure = execution.apply()
    assert states(heard) == [("a", "applying"), ("a", "failed")], "told once"
    assert failure.cause == "a: exited with 1: bad configuration"
    assert parts.applied == [("create", "a")]
    assert journal.interrupted().outcomes == {0: failure.cause}


def test_the_time_limit_names_what_was_waited_for(execute):
    execution, _, _ = execute(Parts(answers={"a": [(Answer.WAITING, "is starting")]}), {"a": {}}, timeout_s=0.05)
    assert execution.apply().cause == "a: not ready after 0.05 s: is starting"


def test_what_does_not_get_ready_is_told_with_its_own_last_trouble(execute):
    parts = Parts(answers={"a": [(Answer.WAITING, "is starting")]})
    lines = ["a: warning waits for b", "a: info answers as ever"]
    execution, _, _ = execute(parts, {"a": {}}, evidence=lambda _subject: lines, timeout_s=0.05)
    failure = execution.apply()
    assert failure.cause == "a: not ready after 0.05 s: is starting; it said: warning waits for b"
    assert failure.evidence == tuple(lines)


def test_silence_fails_before_the_time_limit(execute):
    parts = Parts(answers={"a": [(Answer.WAITING, "is starting")]})
    execution, _, _ = execute(parts, {"a": {}}, timeout_s=3600, no_activity_s=0.05)
    assert "is starting (nothing new for" in execution.apply().cause


def test_what_makes_progress_is_waited_for_beyond_the_time_limit(execute):
    steps = [(Answer.WAITING, f"is replaying {n} of 20", n) for n in range(1, 21)]
    parts = Parts(answers={"a": [*steps, (Answer.READY, "up")]})
    execution, heard, _ = execute(parts, {"a": {}}, timeout_s=0.05, no_activity_s=3600)
    assert execution.apply() is None
    assert heard[-1].elapsed_s > 0.05
    parts = Parts(answers={"b": steps[:5]})
    execution, _, _ = execute(parts, {"b": {}}, timeout_s=0.05, no_activity_s=0.2)
    assert execution.apply().cause.startswith("b: is replaying 5 of 20 (nothing new for")


def test_evidence_is_taken_before_anything_is_reverted(execute):
    parts = Parts(answers={"b": [(Answer.FAILED, "gone")]})
    execution, _, _ = execute(
        parts, {"a": {}, "b": {}}, evidence=lambda subject: [f"{subject} with {len(parts.state)} parts there"]
    )
    assert execution.apply().evidence == ("b with 2 parts there",)


def test_a_revert_goes_backwards_over_what_was_touched_and_nothing_else(execute):
    parts = Parts({"a": {"v": 1}, "old": {}}, answers={"c": [(Answer.FAILED, "gone")]})
    before = parts.observe()
    execution, _, _ = execute(parts, {"a": {"v": 2}, "b": {}, "c": {}, "d": {}})
    failure = execution.apply()
    parts.applied.clear()
    assert execution.revert(failure) == ()
    assert parts.applied == [("delete", "c"), ("delete", "b"), ("update", "a")]
    assert parts.state == before


def test_what_cannot_be_taken_back_is_said_and_the_rest_is_done(execute):
    class Stuck(Parts):
        def apply(self, change):
            if change.after is None and change.subject == "b":
                raise Failed("it does not end")
            super().apply(change)

    parts = Stuck({}, answers={"c": [(Answer.FAILED, "gone")]})
    execution, _, _ = execute(parts, {"a": {}, "b": {}, "c": {}})
    assert execution.revert(execution.apply()) == ("b could not be taken back: it does not end",)
    assert list(parts.state) == ["b"]


def test_one_signal_stops_after_the_current_change(execute):
    class Signalled(Parts):
        def apply(self, change):
            if change.subject == "b":
                os.kill(os.getpid(), signal.SIGINT)
            super().apply(change)

    parts = Signalled(answers={"b": [(Answer.WAITING, "is starting")]})
    with Interrupts() as interrupts:
        execution, _, journal = execute(parts, {"a": {}, "b": {}, "c": {}}, interrupts=interrupts)
        with pytest.raises(Stopped, match="SIGINT"):
            execution.apply()
    assert list(parts.state) == ["a", "b"]
    assert journal.interrupted().touched == ("a", "b")


def test_two_signals_leave_at_once_and_the_intent_is_on_disk(execute):
    class Twice(Parts):
        def apply(self, change):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            super().apply(change)

    with Interrupts() as interrupts:
        execution, _, journal = execute(Twice(), {"a": {}}, interrupts=interrupts)
        with pytest.raises(KeyboardInterrupt):
            execution.apply()
    assert journal.interrupted().intents == {0}


def test_a_signal_during_a_revert_does_not_stop_it(execute):
    class Signalled(Parts):
        def apply(self, change):
            if change.after is None:
                os.kill(os.getpid(), signal.SIGINT)
            super().apply(change)

    parts = Signalled({"a": {"v": 1}}, answers={"c": [(Answer.FAILED, "gone")]})
    with Interrupts() as interrupts:
        execution, _, _ = execute(parts, {"a": {"v": 2}, "c": {}}, interrupts=interrupts)
        assert execution.revert(execution.apply()) == ()
    assert parts.state == {"a": {"v": 1}}


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
