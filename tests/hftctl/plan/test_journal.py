import resource

import pytest

from hftctl.errors import DamageFound, Refused
from hftctl.plan import journal as module
from hftctl.plan.change import Change, Op
from hftctl.plan.journal import RolloutJournal

CREATE = Change("engine-0", Op.CREATE, None, {"v": 1}, "not there")
UPDATE = Change("nginx", Op.UPDATE, {"v": 1}, {"v": 2}, "v 1 -> 2")


def begin(journal, rollout="r1", changes=(CREATE, UPDATE)):
    return journal.begin(
        rollout, verb="deploy", actor="ana@desk3", why="fees", from_revision=3, to_release="abc", changes=changes
    )


@pytest.fixture
def journal(tmp_path):
    return RolloutJournal(tmp_path / "rollout.journal")


def test_nothing_written_is_nothing_read(journal):
    assert journal.rollouts() == []
    assert journal.interrupted() is None


def test_entries_come_back_as_they_were_written(journal):
    begun = begin(journal)
    assert journal.last() == begun
    journal.intent(0)
    journal.outcome(0)
    journal.intent(1)
    journal.outcome(1, "port 8080 is taken")
    journal.reverting("port 8080 is taken")
    last = journal.interrupted()
    assert (last.intents, last.outcomes) == ({0, 1}, {0: "", 1: "port 8080 is taken"})
    assert last.reverting == "port 8080 is taken"
    journal.end("reverted", "port 8080 is taken")
    assert journal.interrupted() is None
    assert (journal.last().result, journal.last().message) == ("reverted", "port 8080 is taken")


def test_the_next_attempt_inherits_the_baseline_of_what_was_touched(journal):
    begin(journal)
    journal.intent(1)
    half = {"v": "half"}
    second = begin(journal, "r2", [Change("nginx", Op.UPDATE, half, {"v": 3}, ""), CREATE])
    assert second.baseline == {"nginx": {"v": 1}, "engine-0": None}
    assert second.touched == ("nginx",)
    third = begin(journal, "r3", [])
    assert third.baseline == {"nginx": {"v": 1}}, "a third attempt still knows what stood before the first"
    assert [rollout.result for rollout in journal.rollouts()] == ["interrupted", "interrupted", ""]


def test_an_ended_rollout_hands_nothing_on(journal):
    begin(journal)
    journal.intent(0)
    journal.end("reverted", "it was not to be")
    assert begin(journal, "r2", [UPDATE]).baseline == {"nginx": {"v": 1}}


def test_one_that_could_not_be_reverted_hands_its_baseline_on(journal):
    begin(journal)
    journal.intent(0)
    journal.end("failed", "the disk is full")
    assert journal.interrupted() is None
    assert begin(journal, "r2", [UPDATE]).baseline == {"nginx": {"v": 1}, "engine-0": None}


def test_a_last_line_torn_anywhere_is_as_if_it_was_never_written(journal):
    begin(journal)
    whole = journal.path.read_bytes()
    journal.intent(0)
    longer = journal.path.read_bytes()
    for size in range(len(whole), len(longer)):
        journal.path.write_bytes(longer[:size])
        assert journal.last().intents == set()
        journal.intent(1)
        assert journal.last().intents == {1}


def test_damage_before_the_last_line_is_said_and_not_passed_over(journal):
    begin(journal)
    journal.intent(0)
    journal.path.write_bytes(journal.path.read_bytes().replace(b'{"entry":"begin"', b'{"entry:"begin"'))
    with pytest.raises(DamageFound, match=r"rollout\.journal is damaged at byte 0"):
        journal.last()


@pytest.mark.parametrize("line", ["null", "3", "{}", '{"entry":"begin"}', '{"entry":"intent"}', '{"entry":"end"}'])
def test_a_line_that_is_json_and_no_entry_is_damage_and_not_a_bug(journal, line):
    begin(journal)
    with journal.path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DamageFound, match="is damaged") as told:
        journal.last()
    assert f"mv {journal.path} {journal.path}.damaged" in told.value.hint


@pytest.mark.parametrize(
    ("was", "now"), [(b'"change":1', b'"change":5'), (b'"subject":"engine-0"', b'"subject":"engine-1"')]
)
def test_an_entry_that_speaks_of_what_is_not_there_is_damage_and_not_a_bug(journal, was, now):
    begin(journal)
    journal.intent(1)
    data = journal.path.read_bytes()
    assert was in data
    journal.path.write_bytes(data.replace(was, now))
    with pytest.raises(DamageFound, match="is damaged in line"):
        journal.rollouts()


def test_the_file_stays_bounded_and_keeps_the_newest_whole(journal, monkeypatch):
    monkeypatch.setattr(module, "KEPT_BYTES", 4000)
    for number in range(50):
        begin(journal, f"r{number}")
        journal.intent(0)
        journal.outcome(0)
        journal.end("ready")
        assert journal.path.stat().st_size <= 4000
    kept = journal.rollouts()
    assert kept[-1].id == "r49"
    assert len(kept) > 1
    assert all(rollout.result == "ready" and rollout.intents == {0} for rollout in kept)


def test_the_file_is_private(journal):
    begin(journal)
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_a_rollout_that_cannot_be_recorded_is_refused_before_anything_changes(tmp_path):
    journal = RolloutJournal(tmp_path / "rollout.journal")
    begin(journal)
    journal.end("ready")
    size, (soft, hard) = journal.path.stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
    try:
        with pytest.raises(
            Refused, match=r"cannot deploy: .* cannot be written .File too large., so nothing was changed"
        ):
            begin(journal, "r2")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert journal.interrupted() is None
    begin(journal, "r3")
    assert [rollout.id for rollout in journal.rollouts()] == ["r1", "r3"], "what was half written is cut off"
