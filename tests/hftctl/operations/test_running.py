import os
import shlex
import signal

import pytest

from hftctl.errors import ConfirmationNeeded, DamageFound, Interrupted, NotFound, UsageError
from hftctl.operations.deploy import deploy
from hftctl.operations.halt import halt, resume
from hftctl.operations.logs import logs
from hftctl.operations.running import destroy, start, stop
from hftctl.operations.standing import open_standing, which
from hftctl.operations.status import history, status
from tests.hftctl.targets.fake import FakeTarget, profile


def proved(*_arguments):
    return [{"order": {"order_id": "0-1"}}]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def targets(home):
    return lambda _target, name: FakeTarget(home, name)


def up(targets, **fields):
    return deploy(profile(**fields), targets=targets, no_build=True, prove=proved)


def test_without_a_name_the_only_deployment_is_meant(home, targets):
    with pytest.raises(NotFound, match="no deployment stands in"):
        which(None)
    up(targets)
    assert which(None) == "fake"
    up(targets, name="other")
    with pytest.raises(UsageError, match="2 stand here: fake, other") as caught:
        which(None)
    assert caught.value.hint == "name one: -p fake"
    with pytest.raises(NotFound, match="no deployment is named 'third'") as caught:
        which("third")
    assert caught.value.hint == "name one that stands: -p fake"


def test_what_may_stand_on_a_docker_engine_that_does_not_answer_is_not_called_gone(home, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{home}/docker.sock")
    for name, wanted in (("third", "'third'"), (None, "a deployment")):
        with pytest.raises(NotFound, match=f"cannot find {wanted}: .* cannot reach a Docker engine") as caught:
            which(name)
        assert "start Docker" in caught.value.hint


def test_a_stopped_deployment_is_stopped_and_not_failed(targets):
    up(targets)
    assert status(None, targets=targets).state == "ready"
    assert stop(None, targets=targets).result == "stopped"
    report = status(None, targets=targets)
    assert (report.state, report.error) == ("stopped", None)
    assert {component.state for component in report.components} == {"stopped"}
    assert report.hint == "hftctl start -p fake"
    assert stop(None, targets=targets, confirm=None).result == "unchanged"


def test_start_brings_up_what_is_down_and_only_that(targets):
    up(targets)
    target = targets("fake", "fake")
    state = target.observe()
    del state["gateway-0"]
    target._write(state)
    report = status(None, targets=targets)
    assert (report.state, report.error.exit_code) == ("degraded", 9)
    assert "gateway-0" in report.message
    assert report.hint == "hftctl start -p fake"
    result = start(None, targets=targets, prove=proved)
    assert [change.subject for change in result.plan.pending] == ["gateway-0"]
    assert (result.result, result.revision) == ("ready", 1)
    assert start(None, targets=targets, prove=None).result == "unchanged"


def test_what_runs_otherwise_than_recorded_is_a_warning(targets):
    up(targets)
    target = targets("fake", "fake")
    state = target.observe()
    state["nginx"]["settings"]["version"] = 7
    target._write(state)
    report = status(None, targets=targets)
    assert report.state == "ready"
    assert [(f.subject, f.message) for f in report.findings] == [
        ("nginx", "differs from its revision: settings.version 7 -> 1")
    ]


def test_an_engine_that_decides_slowly_is_a_warning(targets, monkeypatch):
    up(targets)
    latency = {"exceeded": True, "p99_us": 412, "max_us": 200, "samples": 5000}
    monkeypatch.setattr(FakeTarget, "ask_engine", lambda *_, **__: {"ok": True, "decision_latency": latency})
    report = status(None, targets=targets)
    (finding,) = report.findings
    assert (report.state, finding.subject) == ("ready", "engine-0")
    assert "p99 412 us over 10 s, 200 us are allowed (max_latency_us)" in finding.message
    latency["exceeded"] = False
    assert status(None, targets=targets).findings == ()


def test_start_without_a_revision_says_what_to_do(targets):
    up(targets, refused=["engine-0"])
    with pytest.raises(NotFound, match="no revision was ever recorded"):
        start(None, targets=targets)
    report = status(None, targets=targets)
    assert report.state == "empty"
    assert "exec format error" in report.message


def test_destroy_keeps_data_unless_asked_and_takes_it_later(home, targets):
    up(targets)
    (home / "fake/data/precious").write_text("journal")
    assert destroy(None, targets=targets).result == "destroyed"
    assert (home / "fake/data/precious").exists()
    with pytest.raises(NotFound, match="no deployment is named 'fake'"):
        destroy("fake", targets=targets)
    up(targets)
    destroy(None, targets=targets)
    heard = []
    with pytest.raises(ConfirmationNeeded):
        destroy("fake", data=True, targets=lambda _t, n: FakeTarget(home, n), confirm=refuse_to_answer(heard))
    assert heard[0].data


def refuse_to_answer(heard):
    def confirm(intention):
        heard.append(intention)
        raise ConfirmationNeeded("needs --yes")

    return confirm


def test_dry_runs_change_nothing(targets):
    up(targets)
    before = targets("fake", "fake").observe()
    assert stop(None, targets=targets, dry_run=True, confirm=None).result == "planned"
    assert len(destroy(None, data=True, targets=targets, dry_run=True, confirm=None).plan.pending) == 4
    assert targets("fake", "fake").observe() == before


def test_history_tells_revisions_and_rollouts(targets):
    up(targets)
    up(targets, version=2, broken=["nginx"])
    up(targets, version=3)
    told = history(None, targets=targets)
    assert [revision.number for revision in told.revisions] == [1, 2]
    assert [rollout.result for rollout in told.rollouts] == ["ready", "reverted", "ready"]


def test_logs_of_a_kind_of_component(targets):
    up(targets, gateways=2)
    assert [line.component for line in logs(None, ["gateway"], targets=targets)] == ["gateway-0", "gateway-1"]
    with pytest.raises(NotFound, match="has no component trader"):
        logs(None, ["trader"], targets=targets)


def test_halt_and_resume_reach_the_engine_while_the_lock_is_held(targets):
    up(targets)
    with targets("fake", "fake").lock("a long deploy", wait_s=0):
        result = halt(None, why="bad feed", targets=targets)
    assert result.error is None
    assert [(p.partition, p.done, p.how) for p in result.partitions] == [(0, True, "admin")]
    report = status(None, targets=targets)
    assert (report.state, report.error.exit_code) == ("halted", 9)
    assert "hftctl resume" in report.hint
    assert resume(None, why="feed is back", targets=targets).error is None
    assert status(None, targets=targets).state == "ready"


@pytest.mark.parametrize("text", ["", "null", "[]", '{"format": 1}'])
def test_where_a_deployment_stands_is_known_though_its_release_is_damaged(home, targets, text):
    up(targets)
    targets("fake", "fake").layout.release.write_text(text)
    asked = []
    open_standing("fake", targets=lambda target, name: asked.append(target) or targets(target, name))
    assert asked == ["local"]


def test_a_halt_that_nobody_heard_says_both_ways_it_tried(targets):
    up(targets)
    target = targets("fake", "fake")
    target._write({"nginx": target.observe()["nginx"]})
    result = halt(None, targets=targets)
    assert result.error.exit_code == 4
    assert "cannot reach engine-0: connection refused" in result.error.message
    assert "POST http://127.0.0.1:1/halt" in result.error.message


def test_a_resume_that_nobody_heard_is_proposed_again_with_its_reason(targets):
    up(targets)
    target = targets("fake", "fake")
    target._write({"nginx": target.observe()["nginx"]})
    result = resume(None, why="ana's feed is back", targets=targets)
    again = result.error.hint.partition("; ")[0].removeprefix("try again: ")
    assert shlex.split(again) == ["hftctl", "resume", "-p", "fake", "--why", "ana's feed is back"]


def test_damaged_records_refuse_no_halt(home, targets):
    up(targets)

    class Damaged(FakeTarget):
        def revisions(self):
            raise DamageFound("revision file 000001.json is damaged")

    asked = []

    def ask(intention):
        asked.append(intention)
        return True

    def damaged(_target, name):
        return Damaged(home, name)

    assert halt(None, targets=damaged, confirm=ask).error is None
    assert resume(None, why="seen", targets=damaged, confirm=ask).error is None
    assert [what.environment for what in asked] == ["its revisions cannot be read"] * 2


@pytest.mark.parametrize(
    ("user", "reason"), [("jürgen@büro", "halt by j?rgen@b?ro"), ("x" * 60, f"halt by {'x' * 36}")]
)
def test_a_halt_needs_no_reason_whatever_the_user_is_called(targets, monkeypatch, user, reason):
    monkeypatch.setattr("hftctl.operations.halt.actor", lambda: user)
    up(targets)
    result = halt(None, targets=targets)
    assert (result.error, result.why) == (None, reason)


def test_an_engine_that_refuses_is_not_halted_and_says_why(home, targets):
    up(targets)

    class Refusing(FakeTarget):
        def ask_engine(self, partition, message, *, timeout_s):
            return {"ok": False, "code": "stopped", "message": "the engine is stopping"}

    result = halt(None, targets=lambda _target, name: Refusing(home, name))
    assert not result.partitions[0].done
    assert "stopped: the engine is stopping" in result.error.message
    report = status(None, targets=lambda _target, name: Refusing(home, name))
    assert report.state == "degraded"
    assert "engine-0: stopped: the engine is stopping" in report.message


@pytest.mark.parametrize("why", ["", "  ", "x" * 45, "grün"])
def test_a_reason_is_needed_and_fits_the_journal(targets, why):
    up(targets)
    with pytest.raises(UsageError):
        resume(None, why=why, targets=targets)


def test_ctrl_c_leaves_a_record_and_says_how_to_go_on(home, targets):
    class Signalled(FakeTarget):
        def apply(self, change):
            super().apply(change)
            if change.subject == "engine-0":
                os.kill(os.getpid(), signal.SIGINT)

    typed = "hftctl deploy ../desk/fake.yaml --yes"
    with pytest.raises(Interrupted) as caught:
        deploy(profile(), targets=lambda _target, name: Signalled(home, name), no_build=True, prove=proved, again=typed)
    assert "stopped by SIGINT: 2 of 4 changes begun" in caught.value.message
    assert caught.value.hint == (
        "go on: hftctl rollout continue -p fake; or back to what stood before: hftctl rollout abort -p fake"
    )
    report = status(None, targets=targets)
    assert (report.state, report.hint) == ("interrupted", "hftctl rollout continue -p fake")
    assert report.rollout.again == typed
    with pytest.raises(NotFound) as caught:
        start(None, targets=targets)
    assert "hftctl rollout continue -p fake" in caught.value.hint
    assert report.rollout.interrupted == "SIGINT"
    assert up(targets).result == "ready"


@pytest.mark.parametrize(("verb", "take_down"), [("stop", stop), ("destroy", destroy)])
def test_ctrl_c_in_the_middle_of_taking_down_says_how_to_go_on(home, targets, verb, take_down):
    class Signalled(FakeTarget):
        def stop(self):
            os.kill(os.getpid(), signal.SIGINT)

    up(targets)
    with pytest.raises(Interrupted) as caught:
        take_down(None, targets=lambda _target, name: Signalled(home, name))
    assert caught.value.hint.startswith(f"go on: hftctl {verb} -p fake")
    report = status(None, targets=targets)
    assert (report.state, report.hint) == ("interrupted", f"hftctl {verb} -p fake")


def test_an_interrupted_destroy_of_data_goes_on_with_data(home, targets):
    class Signalled(FakeTarget):
        def stop(self):
            os.kill(os.getpid(), signal.SIGINT)

    up(targets)
    with pytest.raises(Interrupted) as caught:
        destroy("fake", data=True, targets=lambda _target, name: Signalled(home, name))
    assert caught.value.hint == "go on: hftctl destroy -p fake --data"
