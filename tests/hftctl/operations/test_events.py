import pytest

from hftctl.errors import NotFound, Refused, UsageError
from hftctl.operations.beside import prepare
from hftctl.operations.deploy import deploy
from hftctl.operations.events import events
from hftctl.operations.halt import halt
from tests.hftctl.targets.fake import FakeTarget, profile


@pytest.fixture
def targets(tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))
    return lambda _target, deployment: FakeTarget(tmp_path, deployment)


def bring_up(targets, **changes):
    return deploy(profile(**changes), targets=targets, prove=lambda *_: [{"partition": 0}], no_build=True)


def told(targets, *components, **options):
    return [(e.component, e.event) for e in events("fake", components, targets=targets, **options).events]


def test_a_rollout_is_told_step_by_step_with_who_did_it(targets):
    bring_up(targets)
    steps = [
        (name, event) for name in ("postgres-0", "engine-0", "gateway-0", "nginx") for event in ("applying", "ready")
    ]
    assert told(targets) == [("hftctl", "rollout"), *steps, ("hftctl", "recorded"), ("hftctl", "ready")]
    found = list(events("fake", targets=targets).events)
    assert all("@" in event.actor for event in found)
    assert [event.time_ns for event in found] == sorted(event.time_ns for event in found)
    assert len({event.time_ns for event in found}) > 5, "each step has a time of its own"


def test_a_failure_its_cause_and_the_way_back_are_told(targets):
    bring_up(targets)
    bring_up(targets, version=2, broken=["engine-0"])
    found = list(events("fake", ["hftctl", "engine-0"], targets=targets).events)
    assert [e.event for e in found][-5:] == ["rollout", "applying", "failed", "reverting", "reverted"]
    assert "cannot allocate memory" in found[-3].message
    assert "cannot allocate memory" in found[-1].message


def test_a_halt_and_a_command_stand_there_with_who_did_it(targets):
    bring_up(targets)
    halt("fake", why="feed is stale", targets=targets)
    beside = prepare("fake", "engine", ["echo", "a-secret-of-the-fake"], targets=targets)
    assert (beside.component, beside.argv[1]) == ("engine-0", "a-secret-of-the-fake")
    last = list(events("fake", targets=targets).events)[-2:]
    assert [event.event for event in last] == ["halt", "exec"]
    assert "feed is stale" in last[0].message
    assert last[1].message == "runs beside engine-0: echo ***"


def test_only_the_components_that_were_asked_for_and_only_since_then(targets):
    bring_up(targets, gateways=2)
    assert {name for name, _ in told(targets, "gateway")} == {"gateway-0", "gateway-1"}
    assert told(targets, since_s=0) == []
    with pytest.raises(NotFound, match="trader"):
        events("fake", ["trader"], targets=targets)
    bring_up(targets, gateways=1)
    assert ("gateway-1", "ready") in told(targets, "gateway-1"), "one that is gone is still known"


def test_following_tells_what_comes_once(targets):
    bring_up(targets)
    calls = iter([lambda: halt("fake", targets=targets), lambda: bring_up(targets, version=2)])

    def wait(_):
        action = next(calls, None)
        if action is None:
            raise KeyboardInterrupt
        action()

    found = []
    with pytest.raises(KeyboardInterrupt):
        for event in events("fake", targets=targets, follow=True, wait=wait).events:
            found.append(event)
    assert len(found) == len({(event.time_ns, event.event, event.component) for event in found})
    assert [(e.component, e.event) for e in found] == told(targets)


def test_a_command_needs_one_component_and_in_production_a_yes(targets):
    bring_up(targets, gateways=2)
    with pytest.raises(UsageError, match="which gateway"):
        prepare("fake", "gateway", ["true"], targets=targets)
    with pytest.raises(NotFound, match="no component trader"):
        prepare("fake", "trader", ["true"], targets=targets)
    prepare("fake", "engine-0", ["true"], targets=targets, confirm=lambda _: False)  # nobody is asked in development

    class Production(FakeTarget):
        def revisions(self):
            found = super().revisions()
            for revision in found:
                object.__setattr__(revision.release, "environment", "production")
            return found

    root = targets("fake", "fake").layout.root.parent
    with pytest.raises(Refused, match="exec in engine-0 of"):
        prepare("fake", "engine", ["true"], targets=lambda _t, d: Production(root, d), confirm=lambda _: False)
