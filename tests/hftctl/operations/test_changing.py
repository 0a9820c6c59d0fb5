"""scale, restart, rollback and the end of interrupted rollouts, over a target made of files."""

import os
import signal
from dataclasses import replace

import pytest

from hftctl.errors import Interrupted, LockHeld, NotFound, PlanStale, Refused, UsageError
from hftctl.operations.changing import restart, rollback, scale
from hftctl.operations.deploy import apply_plan, deploy, plan
from hftctl.operations.interrupted import abort, go_on, rollout_status
from hftctl.operations.running import destroy, start, stop
from tests.hftctl.targets.fake import FakeTarget, killed_at, points_of, profile


def proved(_target, rollout, _partitions, _database_was_down):
    return [{"order": {"order_id": "0-1", "client_order_id": rollout}}]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    return tmp_path


class World:
    def __init__(self, home):
        self.home = home

    def targets(self, at=lambda _point: None):
        return lambda _target, name: FakeTarget(self.home, name, at)

    @property
    def target(self):
        return FakeTarget(self.home, "fake")

    def up(self, at=lambda _point: None, **fields):
        return deploy(profile(**fields), targets=self.targets(at), no_build=True, prove=proved)

    def run(self, verb, *arguments, at=lambda _point: None, **asked):
        return verb("fake", *arguments, targets=self.targets(at), **{"prove": proved, **asked})

    def clear(self):
        destroy("fake", data=True, targets=self.targets())


@pytest.fixture
def world(home):
    world = World(home)
    world.up()
    return world


def test_scale_is_a_new_revision_with_another_number(world):
    result = world.run(scale, {"gateway": 2})
    assert (result.result, result.revision, result.verb) == ("ready", 2, "scale")
    assert [(change.op, change.subject) for change in result.plan.pending] == [("create", "gateway-1")]
    assert world.target.revisions()[-1].why == "scale of gateway 1 -> 2"
    assert world.run(scale, {"gateway": 2}).result == "unchanged"
    assert world.run(scale, {"gateway": 1}).revision == 3
    assert "gateway-1" not in world.target.observe()


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"engine": 2}, "single writer"),
        ({"gateway": 0}, "1 to 64"),
        ({"gateway": 65}, "1 to 64"),
        ({"moon": 1}, "no such"),
    ],
)
def test_what_cannot_be_scaled_says_why_and_changes_nothing(world, wanted, says):
    before = len(world.target.journal().rollouts())
    with pytest.raises(UsageError, match=says):
        world.run(scale, wanted)
    assert len(world.target.journal().rollouts()) == before


def test_restart_is_planned_confirmed_journalled_and_proved(world):
    asked = []
    result = world.run(restart, ["engine"], confirm=lambda intention: asked.append(intention) or True)
    assert [(change.op, change.subject) for change in asked[0].plan.changes] == [("restart", "engine-0")]
    assert (result.result, result.revision, bool(result.proofs)) == ("ready", 1, True)
    last = world.target.journal().last()
    assert (last.verb, last.result, last.restarts) == ("restart", "ready", ("engine-0",))
    assert last.outcomes == {0: ""}


def test_restart_of_everything_follows_the_order_of_dependency(world):
    result = world.run(restart)
    assert [c.subject for c in result.plan.pending] == ["postgres-0", "engine-0", "gateway-0", "nginx"]


def test_a_restart_of_one_part_leaves_what_else_is_missing_alone(world):
    state = dict(world.target.observe())
    del state["gateway-0"]
    world.target._write(state)
    assert [c.subject for c in world.run(restart, ["engine"]).plan.changes] == ["engine-0"]
    assert "gateway-0" not in world.target.observe()


def test_a_restart_of_what_is_not_there_names_what_is(world):
    with pytest.raises(NotFound, match="there are postgres-0, engine-0, gateway-0, nginx"):
        world.run(restart, ["trader"])


@pytest.mark.parametrize("word", ["", "gateway-", "schema"])
def test_a_word_that_names_nothing_restarts_nothing(world, word):
    """An empty variable of a script is no name of those without a number."""
    with pytest.raises(NotFound, match="no such component"):
        world.run(restart, [word])


def test_declined_is_refused_and_a_dry_run_changes_nothing(world):
    with pytest.raises(Refused, match="declined"):
        world.run(restart, ["engine"], confirm=lambda _intention: False)
    assert world.run(restart, ["engine"], dry_run=True).result == "planned"
    assert world.target.journal().last().verb == "deploy"


def test_a_restart_that_fails_leaves_the_revision_and_says_so(world, home):
    class Broken(FakeTarget):
        def apply(self, change):
            raise OSError("exec format error")

    result = restart("fake", ["engine"], targets=lambda _t, name: Broken(home, name), prove=proved)
    assert (result.result, result.error.exit_code, result.cause) == ("failed", 4, "engine-0: exec format error")
    assert world.run(start).result == "ready"


def test_rollback_brings_back_the_configuration_of_each_of_the_last_five(world):
    for version in range(2, 7):
        world.up(version=version)
    for wanted in (5, 4, 3, 2, 1):
        result = world.run(rollback, wanted)
        assert result.result == "ready"
        assert {spec["settings"]["version"] for spec in world.target.observe().values()} == {wanted}
        assert world.target.revisions()[-1].why == f"rollback to revision {wanted}"
    assert [revision.number for revision in world.target.revisions()] == list(range(1, 12)), "history only grows"


def test_rollback_goes_to_the_one_before_and_names_those_there_are(world):
    with pytest.raises(NotFound, match="revision 1 is its first"):
        world.run(rollback)
    world.up(version=2)
    assert world.run(rollback).plan.pending[0].cause == "settings.version 2 -> 1"
    with pytest.raises(NotFound, match="no revision 9; there are 1, 2, 3"):
        world.run(rollback, 9)


class Migrated(FakeTarget):
    """Its last revision brought another schema."""

    schema = (1, 99)  # far from those there are

    def revisions(self):
        *before, last = super().revisions()
        return [*before, replace(last, release=replace(last.release, schema=self.schema))]


class Contracted(Migrated):
    schema = (98, 99)


def test_a_rollback_over_a_newer_schema_says_that_it_stays(world, home):
    world.up(version=2)
    result = rollback("fake", targets=lambda _t, name: Migrated(home, name), prove=proved)
    assert (result.result, result.revision) == ("ready", 3)
    assert [finding.subject for finding in result.findings] == ["schema"]
    assert "is at 99 and stays there" in result.findings[0].message


@pytest.mark.parametrize("verb", [rollback, lambda *_, **asked: deploy(profile(version=3), no_build=True, **asked)])
def test_what_cannot_live_with_the_schema_is_refused_before_the_first_write(world, home, verb):
    world.up(version=2)
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    with pytest.raises(Refused, match="at schema 99, which took away what releases before 98 read") as refused:
        verb("fake", targets=lambda _t, name: Contracted(home, name), prove=proved)
    assert refused.value.exit_code == 7
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("verb", "arguments"), [(scale, ({"gateway": 2},)), (restart, (["engine"],))])
def test_a_plan_from_before_is_stale_after(world, verb, arguments):
    made = plan(profile(version=7), targets=world.targets())
    world.run(verb, *arguments)
    rollouts = len(world.target.journal().rollouts())
    with pytest.raises(PlanStale):
        apply_plan(made, targets=world.targets(), prove=proved)
    assert len(world.target.journal().rollouts()) == rollouts


def test_who_holds_the_lock_is_told_while_it_is_held(world):
    assert world.target.holder() == ""
    with world.target.lock("fix fees", wait_s=0):
        assert "ana@desk3 (pid " in world.target.holder()
        for verb, arguments in ((scale, ({"gateway": 2},)), (restart, ())):
            with pytest.raises(LockHeld, match="fix fees"):
                world.run(verb, *arguments)


VERBS = {
    "deploy": lambda world, at: world.up(at, version=2, gateways=2),
    "scale": lambda world, at: world.run(scale, {"gateway": 2}, at=at),
    "restart": lambda world, at: world.run(restart, at=at),
    "rollback": lambda world, at: world.run(rollback, 1, at=at),
    "start": lambda world, at: world.run(start, at=at),
}


def prepared(home, verb):
    """A world in which the verb has something to do."""
    world = World(home)
    world.up()
    if verb == "rollback":
        world.up(version=3)
    if verb == "start":
        stop("fake", targets=world.targets())
    return world


def whole(world, release):
    target = world.target
    assert target.observe() == target.desired(release)
    assert target.journal().unsettled() is None
    return True


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("way", [go_on, abort])
def test_killed_anywhere_status_is_true_and_continue_and_abort_converge(home, verb, way):
    world = prepared(home, verb)
    names = points_of(lambda at: VERBS[verb](world, at))
    after = world.target.revisions()[-1].release
    world.clear()
    for number, name in enumerate(names):
        world = prepared(home, verb)
        before = world.target.revisions()[-1].release
        assert killed_at(number, lambda at, world=world: VERBS[verb](world, at)), name
        told = rollout_status("fake", targets=world.targets())
        recorded = world.target.revisions()[-1].release
        if told.state == "interrupted":
            assert told.hint.startswith(
                f"go on: hftctl {'start' if verb == 'start' else 'rollout continue'} -p fake"
            ), name
            result = world.run(way)
            assert result.error is None, (name, result)
            assert whole(world, after if way is go_on else recorded), name
        else:
            assert told.state in {"ready", "stopped"}, name
            assert world.run(way).result == "unchanged", name
        assert recorded in (before, after)
        assert rollout_status("fake", targets=world.targets()).error is None, name
        world.clear()


@pytest.mark.parametrize("way", [go_on, abort])
def test_a_killed_first_deploy_can_be_ended_or_taken_back(home, way):
    names = points_of(lambda at: World(home).up(at))
    World(home).clear()
    for number, name in enumerate(names):
        world = World(home)
        assert killed_at(number, lambda at, world=world: world.up(at)), name
        if not world.target.layout.rollout_journal.exists() or not world.target.journal().rollouts():
            continue
        result = world.run(way)
        assert result.error is None, (name, result)
        if way is abort and result.result == "aborted":
            assert world.target.observe() == {}, name
        else:
            assert whole(world, world.target.revisions()[-1].release), name
        assert world.run(go_on).result == "unchanged", name
        world.clear()


def test_an_interrupted_stop_and_destroy_go_on_with_what_they_were_told(world, home):
    class Signalled(FakeTarget):
        def stop(self):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        destroy("fake", data=True, targets=lambda _target, name: Signalled(home, name))
    assert rollout_status("fake", targets=world.targets()).hint.startswith("go on: hftctl destroy -p fake --data")
    assert world.run(go_on).result == "destroyed"
    assert not (home / "fake").exists()


def test_a_revert_that_was_killed_says_so(home):
    world = World(home)
    world.up()
    names = points_of(lambda at: world.up(at, version=3, broken=["nginx"]))
    assert "after journal reverting" in names
    killed_at(names.index("after journal reverting") + 1, lambda at: world.up(at, version=3, broken=["nginx"]))
    told = rollout_status("fake", targets=world.targets())
    assert "amid its revert (nginx exited with 3" in told.message
    assert world.run(abort).result == "ready"
    assert {spec["settings"]["version"] for spec in world.target.observe().values()} == {1}
