"""SIGKILL at every point of a rollout (around each journal entry, amid each change, around the record): the next command
converges to exactly the new or the old revision, and nobody unlocks anything by hand."""

import os
import shutil

import pytest

from hftctl.operations.deploy import deploy
from hftctl.operations.running import destroy, start, stop
from hftctl.operations.status import status
from tests.hftctl.targets.fake import FakeTarget, killed_at, points_of, profile, release

OLD = profile(version=1)
NEW = profile(version=2, gateways=2)
BAD = profile(version=3, broken=["nginx"])


def proved(_target, rollout, _partitions, _database_was_down):
    return [{"order": {"order_id": "0-1", "client_order_id": rollout}}]


class World:
    """A folder in which the deployment `fake` lives."""

    def __init__(self, root):
        self.root = root

    def targets(self, at=lambda _point: None):
        return lambda _target, name: FakeTarget(self.root, name, at)

    def deploy(self, values, at=lambda _point: None):
        return deploy(values, targets=self.targets(at), no_build=True, prove=proved)

    def start(self, at=lambda _point: None):
        return start("fake", targets=self.targets(at), prove=proved)

    def is_exactly(self, values):
        target = FakeTarget(self.root, "fake")
        last = target.revisions()[-1]
        assert target.observe() == target.desired(last.release)
        assert last.release.profile == values
        assert target.journal().unsettled() is None
        return True

    def is_whole(self, values):
        target = FakeTarget(self.root, "fake")
        return target.observe() == target.desired(release(**values))


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Make worlds, each a copy of one where OLD stands."""
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path / "world"))
    monkeypatch.setattr(os, "fsync", lambda _handle: None)  # SIGKILL leaves the page cache; a thousand syncs take long
    base = World(tmp_path / "base")
    base.deploy(OLD)

    def make(*, empty=False):
        shutil.rmtree(tmp_path / "world", ignore_errors=True)
        if not empty:
            shutil.copytree(tmp_path / "base", tmp_path / "world")
        return World(tmp_path / "world")

    return make


def every_kill(fresh, act, **options):
    """A world after each possible kill of `act(world, hook)`."""
    names = points_of(lambda at: act(fresh(**options), at))
    assert len(names) > 20
    for number, name in enumerate(names):
        world = fresh(**options)
        assert killed_at(number, lambda at, world=world: act(world, at)), name
        yield name, world
    assert not killed_at(len(names), lambda at: act(fresh(**options), at)), "there was no point after the last one"


def test_the_same_deploy_again_ends_at_the_new_revision(fresh):
    for name, world in every_kill(fresh, lambda world, at: world.deploy(NEW, at)):
        assert world.deploy(NEW).error is None, name
        assert world.is_exactly(NEW), name
        numbers = [revision.number for revision in FakeTarget(world.root).revisions()]
        assert numbers == [1, 2], f"{name}: recorded once"


def test_start_goes_back_to_the_last_recorded_revision(fresh):
    for name, world in every_kill(fresh, lambda world, at: world.deploy(NEW, at)):
        recorded = FakeTarget(world.root).revisions()[-1].release.profile
        world.start()
        assert world.is_exactly(recorded), name
        assert recorded in (OLD, NEW)


def test_deploying_the_old_profile_goes_back_to_it(fresh):
    for name, world in every_kill(fresh, lambda world, at: world.deploy(NEW, at)):
        world.deploy(OLD)
        assert world.is_exactly(OLD), name


def test_a_revert_after_kills_leads_back_to_the_last_whole_state(fresh):
    for name, world in every_kill(fresh, lambda world, at: world.deploy(NEW, at)):
        recorded = FakeTarget(world.root).revisions()[-1].release.profile
        result = world.deploy(BAD)
        assert result.result == "reverted", name
        assert world.is_exactly(recorded), name


@pytest.mark.parametrize("again", ["fails too", "start"])
def test_a_kill_in_the_middle_of_a_revert_still_leads_back(fresh, again):
    for name, world in every_kill(fresh, lambda world, at: world.deploy(BAD, at)):
        if again == "start":
            world.start()
        else:
            assert world.deploy(BAD).result == "reverted", name
        assert world.is_exactly(OLD), name


def test_a_killed_first_deploy_is_ended_by_the_next(fresh):
    for name, world in every_kill(fresh, lambda world, at: world.deploy(OLD, at), empty=True):
        assert world.deploy(OLD).error is None, name
        assert world.is_exactly(OLD), name


def test_a_killed_first_deploy_can_be_destroyed(fresh):
    for name, world in every_kill(fresh, lambda world, at: world.deploy(OLD, at), empty=True):
        if not (world.root / "fake/rollout.journal").exists():
            continue  # nothing was written yet
        destroy("fake", data=True, targets=world.targets())
        assert not (world.root / "fake").exists(), name


def test_status_tells_the_truth_after_every_kill(fresh):
    for name, world in every_kill(fresh, lambda world, at: world.deploy(NEW, at)):
        report = status("fake", targets=world.targets())
        before, after = world.is_whole(OLD), world.is_whole(NEW)
        if report.state == "ready":
            assert before or after, name
        else:
            assert report.state == "interrupted", name
            assert "never ended" in report.message
            assert report.hint == "hftctl rollout continue -p fake", name


def test_two_kills_in_a_row_change_nothing_about_that(fresh):
    names = points_of(lambda at: fresh().deploy(NEW, at))
    for first in range(2, len(names), 7):
        for second in range(1, len(names), 6):
            world = fresh()
            killed_at(first, lambda at, world=world: world.deploy(NEW, at))
            killed_at(second, lambda at, world=world: world.deploy(BAD, at))
            recorded = FakeTarget(world.root).revisions()[-1].release.profile
            assert world.deploy(BAD).result == "reverted"
            assert world.is_exactly(recorded), (names[first], second)


def test_a_killed_stop_is_ended_by_stop_and_undone_by_start(fresh):
    names = points_of(lambda at: stop("fake", targets=fresh().targets(at)))
    for number, name in enumerate(names):
        world = fresh()
        assert killed_at(number, lambda at, world=world: stop("fake", targets=world.targets(at)))
        stop("fake", targets=world.targets())
        assert status("fake", targets=world.targets()).state == "stopped", name
        world.start()
        assert world.is_exactly(OLD), name


def test_a_killed_destroy_is_ended_by_destroy(fresh):
    names = points_of(lambda at: destroy("fake", targets=fresh().targets(at)))
    for number, name in enumerate(names):
        world = fresh()
        assert killed_at(number, lambda at, world=world: destroy("fake", targets=world.targets(at)))
        report = status("fake", targets=world.targets())
        assert report.state == "ready" or report.hint == "hftctl destroy -p fake", name
        destroy("fake", data=True, targets=world.targets())
        assert not (world.root / "fake").exists(), name
