import pytest

from hftctl.errors import DamageFound, Inconclusive, LockHeld, PlanStale, Refused
from hftctl.operations.deploy import apply_plan, deploy, plan
from hftctl.operations.rollout import last_logs
from hftctl.plan import saved
from hftctl.plan.actuator import Answer, Readiness
from hftctl.targets.base import LogLine
from tests.hftctl.targets.fake import FakeTarget, profile


def proved(_target, rollout, partitions, _database_was_down):
    return [{"partition": n, "order": {"order_id": f"{n}-1", "client_order_id": rollout}} for n in range(partitions)]


@pytest.fixture
def targets(tmp_path):
    return lambda _target, deployment: FakeTarget(tmp_path, deployment)


@pytest.fixture
def run(targets):
    def run(values, **options):
        return deploy(values, targets=targets, no_build=True, **{"prove": proved, **options})

    return run


def test_a_first_deploy_is_ready_proved_and_recorded(run, targets):
    heard = []
    result = run(profile(), progress=heard.append, why="the first")
    assert (result.result, result.revision, result.error) == ("ready", 1, None)
    target = targets("fake", "fake")
    (revision,) = target.revisions()
    assert revision.why == "the first"
    assert revision.rollout == result.rollout
    assert revision.proof["orders"] == list(result.proofs)
    assert target.observe() == target.desired(revision.release)
    assert target.journal().last().result == "ready"
    assert [(p.subject, p.state) for p in heard][:2] == [("postgres-0", "applying"), ("postgres-0", "ready")]


def test_nothing_to_do_takes_no_lock_asks_nobody_and_proves_nothing(run, targets):
    run(profile())
    with targets("fake", "fake").lock("somebody else", wait_s=0):
        result = run(profile(), confirm=None, prove=None)
    assert (result.result, result.revision) == ("unchanged", 1)


def test_a_changed_profile_is_a_new_revision(run, targets):
    run(profile())
    result = run(profile(version=2))
    assert result.revision == 2
    assert [change.op for change in result.plan.pending] == ["update"] * 4
    assert result.plan.pending[0].cause == "settings.version 1 -> 2"


def test_a_repair_is_no_new_revision(run, targets):
    run(profile())
    targets("fake", "fake").stop()
    result = run(profile())
    assert (result.result, result.revision) == ("ready", 1)
    assert len(result.plan.pending) == 4


def test_what_preflight_finds_is_refused_before_the_first_write(run, tmp_path):
    with pytest.raises(Refused, match="port 8080 is in use by nc") as caught:
        run(profile(busy_ports=[8080]))
    assert "kill 7" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_declined_is_refused_and_a_dry_run_writes_nothing(run, tmp_path):
    with pytest.raises(Refused, match="declined"):
        run(profile(), confirm=lambda _intention: False)
    assert run(profile(), dry_run=True, confirm=None).result == "planned"
    assert list(tmp_path.iterdir()) == []


def test_the_lock_held_by_somebody_is_said_with_who_since_when_and_why(run, targets):
    with targets("fake", "fake").lock("fix fees", wait_s=0), pytest.raises(LockHeld) as caught:
        run(profile())
    assert "lock held by ana@desk3 (pid " in caught.value.message
    assert " since 20" in caught.value.message
    assert "(fix fees)" in caught.value.message
    assert "--lock-wait" in caught.value.hint
    assert targets("fake", "fake").observe() == {}


def test_a_failure_is_named_first_with_last_logs_and_what_stood_before_stands_again(run, targets):
    run(profile())
    before = targets("fake", "fake").observe()
    result = run(profile(version=2, broken=["nginx"]))
    assert result.result == "reverted"
    assert result.cause == "nginx exited with 3: cannot allocate memory"
    assert result.evidence == ("nginx: last words",)
    assert result.error.exit_code == 1
    assert result.cause in result.error.message
    target = targets("fake", "fake")
    assert target.observe() == before
    assert [revision.number for revision in target.revisions()] == [1]
    assert target.journal().last().result == "reverted"
    assert result.revision == 1
    assert run(profile()).result == "unchanged"


def test_a_failed_first_deploy_leaves_nothing_running(run, targets):
    result = run(profile(refused=["gateway-0"]))
    assert result.result == "reverted"
    assert "gateway-0 cannot be started: exec format error" in result.cause
    assert targets("fake", "fake").observe() == {}


def test_a_failed_proof_reverts(run, targets):
    run(profile())
    before = targets("fake", "fake").observe()

    def disproved(*_arguments):
        raise Refused("two crossing orders did not match")

    result = run(profile(version=2), prove=disproved)
    assert result.result == "reverted"
    assert "two crossing orders did not match" in result.cause
    assert targets("fake", "fake").observe() == before


def test_a_revert_that_fails_says_what_stands(run, targets, tmp_path):
    run(profile())

    class Stuck(FakeTarget):
        def apply(self, change):
            if change.subject == "postgres-0" and change.after["settings"]["version"] == 1:
                raise OSError("disk full")
            super().apply(change)

    result = deploy(
        profile(version=2, broken=["nginx"]),
        targets=lambda _t, name: Stuck(tmp_path, name),
        no_build=True,
        prove=proved,
    )
    assert result.result == "failed"
    assert result.error.exit_code == 4
    assert result.cause.startswith("nginx exited"), "the first line is the true cause"
    assert any("postgres-0 could not be taken back: disk full" in left for left in result.left)
    assert run(profile(version=2, refused=["engine-0"])).result == "reverted"
    assert {spec["settings"]["version"] for spec in targets("fake", "fake").observe().values()} == {1}


def test_what_was_repaired_stays_when_the_rest_cannot_be(run, targets):
    run(profile(broken=[]))
    target = targets("fake", "fake")
    target.stop()

    def unproved(*_arguments):
        raise Refused("no answer at 8080")

    result = run(profile(), prove=unproved)
    assert (result.result, result.error.exit_code) == ("failed", 4)
    assert len(target.observe()) == 4


def test_inconclusive_stands_and_is_proved_by_the_next_deploy(run, targets):
    def doubtful(*_arguments):
        raise Inconclusive("partition 0 takes no orders: halted by an operator")

    result = run(profile(), prove=doubtful)
    assert (result.result, result.error.exit_code) == ("inconclusive", 8)
    assert "halted by an operator" in result.error.message
    target = targets("fake", "fake")
    assert len(target.observe()) == 4
    assert target.revisions()[-1].proof == {"inconclusive": result.cause}
    result = run(profile())
    assert result.result == "ready"
    assert result.plan.pending == ()
    assert target.revisions()[-1].proof["orders"]


def test_postgres_that_was_down_before_neither_fails_nor_reverts_a_deploy(run, targets, tmp_path):
    run(profile())

    class Hung(FakeTarget):
        def readiness(self, subject):
            if subject == "postgres-0":
                return Readiness(Answer.WAITING, "postgres-0 does not take logins")
            return super().readiness(subject)

    asked = []

    def prove(_target, _rollout, _partitions, database_was_down):
        asked.append(database_was_down)
        raise Inconclusive("PostgreSQL was down before")

    result = deploy(
        profile(gateways=2), targets=lambda _t, name: Hung(tmp_path, name), no_build=True, prove=prove, timeout_s=0.5
    )
    assert result.result == "inconclusive"
    assert asked == [True]
    assert "gateway-1" in targets("fake", "fake").observe()


def test_postgres_that_is_only_starting_up_is_waited_for(run, targets, tmp_path):
    run(profile())
    answers = iter(["the database system is starting up"] * 3)

    class Recovering(FakeTarget):
        def readiness(self, subject):
            if subject == "postgres-0" and (message := next(answers, None)):
                return Readiness(Answer.WAITING, message)
            return super().readiness(subject)

    asked = []

    def prove(target, rollout, partitions, database_was_down):
        asked.append(database_was_down)
        return proved(target, rollout, partitions, database_was_down)

    result = deploy(
        profile(gateways=2), targets=lambda _t, name: Recovering(tmp_path, name), no_build=True, prove=prove
    )
    assert (result.result, asked) == ("ready", [False])


def test_without_wait_nothing_is_proved(run, targets):
    result = run(profile(), wait=False, prove=None)
    assert result.result == "ready"
    assert targets("fake", "fake").revisions()[-1].proof == {}
    assert run(profile(), wait=False, prove=None).result == "unchanged"
    assert run(profile()).proofs


def test_two_names_of_one_profile_do_not_touch_each_other(run, targets):
    run(profile())
    run(profile(version=2), name="other")
    assert targets("fake", "fake").observe()["nginx"]["settings"] == {"version": 1}
    assert targets("fake", "other").observe()["nginx"]["settings"] == {"version": 2}


def test_a_saved_plan_is_applied_as_it_was_read(targets, tmp_path):
    file = tmp_path / "plan.json"
    made = plan(profile(), targets=targets)
    saved.save(made, file)
    assert file.stat().st_mode & 0o777 == 0o600
    result = apply_plan(saved.load(file), targets=targets, prove=proved)
    assert (result.result, result.verb) == ("ready", "apply")


def test_a_plan_made_before_the_world_moved_is_refused_before_the_first_write(run, targets, tmp_path):
    run(profile())
    made = plan(profile(version=3), targets=targets)
    run(profile(version=2, gateways=2))
    target = targets("fake", "fake")
    before, rollouts = target.observe(), len(target.journal().rollouts())
    with pytest.raises(PlanStale) as caught:
        apply_plan(made, targets=targets, prove=proved)
    assert "engine-0 has changed" in caught.value.message
    assert "gateway-1 is new" in caught.value.message
    assert target.observe() == before
    assert len(target.journal().rollouts()) == rollouts


def test_a_plan_is_stale_when_what_it_saw_is_gone(run, targets):
    run(profile())
    made = plan(profile(version=3), targets=targets)
    targets("fake", "fake").stop()
    with pytest.raises(PlanStale, match="nginx is gone"):
        apply_plan(made, targets=targets, prove=proved)


def test_a_plan_that_was_edited_or_is_none_is_refused(targets, tmp_path):
    from hftctl.errors import UsageError

    file = tmp_path / "plan.json"
    saved.save(plan(profile(), targets=targets), file)
    file.write_text(file.read_text().replace('"gateways": 1', '"gateways": 7'))
    with pytest.raises(UsageError, match="was changed after it was saved"):
        saved.load(file)
    for content in ("", "[]", "{}", '{"apiVersion": "hftctl/v1", "kind": "Status"}', "\0"):
        file.write_text(content)
        with pytest.raises(UsageError, match="is no plan"):
            saved.load(file)


@pytest.mark.parametrize("place", ["no/such/folder/plan.json", "."])
def test_a_plan_that_cannot_be_saved_says_where_and_why(tmp_path, targets, place):
    with pytest.raises(Refused, match="cannot write the plan to"):
        saved.save(plan(profile(), targets=targets), tmp_path / place)


def test_when_somebody_was_faster_the_new_difference_is_confirmed_again(run, targets):
    run(profile())
    asked = []

    def confirm(intention):
        asked.append(intention)
        if len(asked) == 1:
            run(profile(version=2))  # between the question and the lock
        return True

    result = run(profile(version=3), confirm=confirm)
    assert result.result == "ready"
    assert [intention.plan.pending[0].cause for intention in asked] == [
        "settings.version 1 -> 3",
        "settings.version 2 -> 3",
    ]


def test_evidence_shows_what_is_said_again_and_again_once(tmp_path):
    class Talking(FakeTarget):
        def logs(self, components, *, since_s, follow):
            for number in range(60):
                yield LogLine("nginx", number, "bind() failed" if number % 2 else f"try {number}")

    shown = last_logs(Talking(tmp_path, "fake"), "nginx")
    assert shown[-2:] == ("nginx: try 58", "nginx: bind() failed")
    assert len(shown) == len(set(shown)) == 15


def test_a_deploy_whose_record_is_damaged_writes_it_again(run, tmp_path):
    class Damaged(FakeTarget):
        hurt = True

        def endpoint(self):
            if Damaged.hurt:
                raise DamageFound("release.json is damaged")
            return super().endpoint()

        def begin(self, release):
            super().begin(release)
            Damaged.hurt = False

    run(profile())
    result = deploy(profile(), targets=lambda _target, name: Damaged(tmp_path, name), no_build=True, prove=proved)
    assert (result.result, result.revision, Damaged.hurt) == ("ready", 1, False)
