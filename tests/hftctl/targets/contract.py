"""What every target keeps. A test file imports all names from here and defines the fixture `case`."""

import json
import os
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from hftctl.errors import LockHeld
from hftctl.plan.actuator import Answer
from hftctl.plan.change import Op
from hftctl.plan.diff import change, diff
from hftctl.release import Release, Revision
from hftctl.targets.base import Target


@dataclass
class Case:
    """One target under test. `open` gives a new driver of the same deployment each time, as another command would have."""

    open: Callable[[], Target]
    first: Release
    second: Release  # differs from `first` in at least one subject
    make_fail: Callable[[Target], str]  # after `first` stands: break a subject for good, and return its name
    secrets: Callable[[Target], Sequence[str]]  # what must not appear in a spec
    ready_timeout_s: float = 60.0
    lock_wait_s: float = 5.0  # after its holder was killed


def bring_up(case, release):
    target = case.open()
    target.begin(release)
    for one in diff(target.desired(release), target.observe()).pending:
        target.apply(one)
        if one.op is not Op.DELETE:
            wait_for(case, target, one.subject, Answer.READY)
    return target


def wait_for(case, target, subject, answer):
    deadline = time.monotonic() + case.ready_timeout_s
    while (now := target.readiness(subject)).answer is not answer:
        assert time.monotonic() < deadline, f"{subject} is {now}, waited for {answer}"
        assert answer is Answer.FAILED or now.answer is not Answer.FAILED, now.message
        time.sleep(0.02)
    assert now.message, "an answer has a sentence"
    return now


def test_desired_is_pure_and_plain(case):
    target = case.open()
    desired = target.desired(case.first)
    assert desired == case.open().desired(case.first)
    assert json.loads(json.dumps(desired)) == desired
    assert target.observe() == {}
    assert target.journal().rollouts() == []
    assert target.desired(case.second) != desired


def test_what_is_rendered_says_which_release_and_no_secret(case):
    target = bring_up(case, case.first)
    found = case.open().rendered(case.first)
    assert found == target.rendered(case.first)
    assert found != target.rendered(case.second)
    secrets = case.secrets(target)
    assert [name for name, text in found.items() if any(secret in text for secret in secrets)] == []


def test_what_was_applied_is_observed_and_ready(case):
    target = bring_up(case, case.first)
    desired = target.desired(case.first)
    assert case.open().observe() == desired
    assert case.open().observe() == desired, "observing twice changes nothing"
    assert all(component.state == "running" and component.ready for component in target.status())


def test_applying_again_changes_nothing(case):
    target = bring_up(case, case.first)
    before = {component.component: component.pid for component in target.status()}
    for subject, spec in target.desired(case.first).items():
        target.apply(change(subject, None, spec))
        wait_for(case, target, subject, Answer.READY)
    assert target.observe() == target.desired(case.first)
    assert {component.component: component.pid for component in target.status()} == before


def test_an_update_leads_there_and_a_revert_leads_back(case):
    target = bring_up(case, case.first)
    before = target.observe()
    bring_up(case, case.second)
    assert target.observe() == target.desired(case.second)
    target.begin(case.first)
    for one in diff(before, target.observe()).pending:
        target.apply(one)
    for subject in before:
        wait_for(case, target, subject, Answer.READY)
    assert target.observe() == before


def test_readiness_tells_not_there_from_failed_for_good(case):
    target = case.open()
    target.begin(case.first)
    for subject in target.desired(case.first):
        assert target.readiness(subject).answer is not Answer.READY
    target = bring_up(case, case.first)
    subject = case.make_fail(target)
    wait_for(case, target, subject, Answer.FAILED)


def test_the_lock_excludes_and_names_its_holder(case):
    with case.open().lock("fix fees", wait_s=0):
        with pytest.raises(LockHeld) as caught, case.open().lock("mine", wait_s=0):
            pass
        assert "fix fees" in caught.value.message
        assert "since" in caught.value.message
        assert caught.value.hint
    with case.open().lock("now it is free", wait_s=0):
        pass


def test_shared_locks_share_and_exclude_the_exclusive(case):
    first, second = (case.open().lock(why, wait_s=0, shared=True) for why in ("backup", "other backup"))
    with first, second, pytest.raises(LockHeld), case.open().lock("deploy", wait_s=0):
        pass


def test_the_lock_dies_with_its_holder(case):
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a test runner may have threads; none holds a lock of ours
        child = os.fork()
    if child == 0:
        try:
            with case.open().lock("about to die", wait_s=0):
                os.write(writer, b"x")
                signal.pause()
        finally:
            os._exit(1)
    try:
        assert os.read(reader, 1) == b"x"
        with pytest.raises(LockHeld, match="about to die"), case.open().lock("too early", wait_s=0):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)
    with case.open().lock("after", wait_s=case.lock_wait_s):
        pass


def test_journal_and_revisions_live_on_the_target(case):
    target = case.open()
    target.begin(case.first)
    begun = target.journal().begin(
        "r1", verb="deploy", actor="ana@desk3", why="first", from_revision=0, to_release=case.first.hash, changes=()
    )
    assert case.open().journal().interrupted() == begun
    for number in range(1, 12):
        target.record(
            Revision(number, case.first, number, "ana@desk3", "first", "r1", {"orders": [{"order_id": "0-1"}]})
        )
    found = case.open().revisions()
    assert [revision.number for revision in found] == list(range(1, 12))
    assert found[0].release == case.first
    assert found[0].release.hash == case.first.hash


def test_stop_keeps_everything_on_disk_and_can_be_repeated(case):
    target = bring_up(case, case.first)
    target.stop()
    target.stop()
    assert not any(component.state == "running" for component in case.open().status())
    assert diff(target.desired(case.first), target.observe()).pending
    bring_up(case, case.first)


def test_remove_takes_data_only_when_asked(case):
    target = bring_up(case, case.first)
    target.journal().begin("r1", verb="destroy", actor="a", why="", from_revision=0, to_release="", changes=())
    target.stop()
    target.remove(data=False)
    assert case.open().observe() == {}
    assert case.open().journal().rollouts() == []
    assert case.open().revisions() == []
    bring_up(case, case.first)
    target.journal().begin("r2", verb="destroy", actor="a", why="", from_revision=0, to_release="", changes=())
    target.stop()
    target.remove(data=True)
    assert case.open().observe() == {}


def test_no_secret_stands_in_a_spec(case):
    target = bring_up(case, case.first)
    specs = json.dumps([target.observe(), target.desired(case.first)])
    assert [secret for secret in case.secrets(target) if secret in specs] == []
