"""What a killed restore leaves, and what the next one makes of it; reports of drills that were changed."""

import json

import pytest

from hftctl.archive.manifest import Manifest
from hftctl.archive.store import Store
from hftctl.errors import DamageFound, LockHeld, Refused
from hftctl.operations.backup import beside, swap
from hftctl.operations.backup.choose import Choice
from hftctl.operations.backup.drill import record
from hftctl.operations.backup.look import verify
from hftctl.operations.backup.restore import _Restore
from hftctl.operations.terms import silent
from hftctl.release import Release, Revision
from hftctl.targets.local import LocalTarget


class Killed(BaseException):
    pass


@pytest.fixture
def target(tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path / "home"))
    target = LocalTarget("paper")
    target.layout.data.mkdir(parents=True)
    (target.layout.data / "orders").write_text("old")
    return target


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "store", "paper")
    made.folder.mkdir()
    made.make()
    return made


def restored(tmp_path, target):
    data = tmp_path / "data"
    data.mkdir()
    (data / "orders").write_text("restored")
    return swap.put_beside(target.layout, data)


def folders(target):
    return {path.name.partition("-")[0]: (path / "orders").read_text() for path in target.layout.root.glob("data*")}


def test_after_an_exchange_the_old_data_have_their_name_and_nothing_else_is_there(tmp_path, target):
    kept = swap.exchange(target.layout, restored(tmp_path, target))
    assert folders(target) == {"data": "restored", "data.aside": "old"}
    assert kept == target.layout.asides()[0]
    assert [path.name for path in target.layout.data.iterdir()] == ["orders"]
    assert swap.settle(target.layout) is None and folders(target) == {"data": "restored", "data.aside": "old"}


def test_restored_data_that_never_came_to_their_place_are_not_taken_for_old_ones(tmp_path, target):
    restored(tmp_path, target)
    swap.settle(target.layout)
    assert folders(target) == {"data": "old"}


def test_old_data_of_a_restore_that_was_killed_at_its_exchange_are_kept(tmp_path, target, monkeypatch):
    def dies(_layout):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(swap, "settle", dies)
        swap.exchange(target.layout, restored(tmp_path, target))
    assert folders(target) == {"data": "restored", "data.restored": "old"}
    swap.settle(target.layout)
    assert folders(target) == {"data": "restored", "data.aside": "old"}


def test_data_are_not_discarded_under_the_hands_of_a_restore(tmp_path, target):
    swap.exchange(target.layout, restored(tmp_path, target))
    with target.lock("restore", wait_s=0), pytest.raises(LockHeld, match=r"\(restore\)"):
        swap.discard("paper")
    assert len(swap.discard("paper")) == 1
    assert folders(target) == {"data": "restored"}


def test_a_restore_killed_among_the_revisions_brings_all_of_them_back_the_next_time(target, store):
    def revision(number):
        release = Release("paper", "local", "development", {"gateways": number}, {"engine": "e"})
        return Revision(number, release, number, "ana@desk3", "fees", f"r{number}")

    names = tuple(store.put(json.dumps(revision(number).document()).encode())[0] for number in (1, 2, 3))
    manifest = Manifest(
        "20261129-010203-abcdef", "paper", "create", "ana@desk3", 1, 0.1, "1", revision(3).release.document(), names, "", "", (), ()
    )  # fmt: skip
    target.record(revision(1))
    work = _Restore(store, Choice(manifest, {}, None), silent)
    assert work.release.profile == {"gateways": 3}, "the newest one's, not that of where it was killed"
    made = target.layout.root / "beside"
    made.mkdir()
    (made / "api_keys").write_text("keys")
    (target.layout.root / ".secrets.restored").mkdir()
    (target.layout.root / ".secrets.restored" / "redis_password").write_text("half")
    swap.keep_secrets(target.layout, made)
    assert {path.name for path in target.layout.secrets.iterdir()} == {"api_keys"}
    target.layout.rollout_journal.touch()
    assert [one.number for one in work._known_revisions()] == [1], "what stands is as it stands"


def test_what_a_restore_could_not_bring_back_is_refused_first(target, store, tmp_path):
    release = Release("paper", "local", "development", {"partitions": [{}, {}], "authentication": "none"}, {})
    manifest = Manifest(
        "20261129-010203-abcdef", "paper", "create", "ana@desk3", 1, 0.1, "1", release.document(), (), "", "", (), ()
    )
    work = _Restore(store, Choice(manifest, {}, None), silent)
    with pytest.raises(Refused, match="has the journals of 0 partitions, and 'paper' has 2"):
        work.prepare(None, new_secrets=False)
    target.layout.data.rename(tmp_path / "elsewhere")
    target.layout.data.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="is a link, and a restore exchanges that folder for another one"):
        work.prepare(None, new_secrets=False)


def test_a_killed_ones_folder_without_a_lock_is_removed_and_one_in_use_is_not(target):
    home = target.layout.root.parent
    (home / f"{beside.PREFIX}dead").mkdir()
    with beside.scratch() as mine, beside.scratch() as other:
        assert {path.name for path in home.glob(f"{beside.PREFIX}*")} == {mine.name, other.name}
    assert list(home.glob(f"{beside.PREFIX}*")) == []


def test_whoever_is_killed_while_it_removes_a_folder_leaves_it_to_the_next_one(target, monkeypatch):
    def dies(*_arguments, **_words):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed), beside.scratch() as mine:
        (mine / "paper").mkdir()
        patched.setattr(beside.shutil, "rmtree", dies)
    assert (mine / beside.LOCK).exists()
    with beside.scratch():
        assert not mine.exists()


def test_a_report_that_was_changed_is_told_once_and_keeps_nobody_from_the_next(store):
    first, broken = record(store, {"result": "proven"})
    assert broken is None
    first.write_text(first.read_text().replace("proven", "failed"))
    second, broken = record(store, {"result": "proven"})
    assert isinstance(broken, DamageFound) and first.name in broken.message
    third, broken = record(store, {"result": "proven"})
    assert broken is None and sorted([third, second, first]) == [first, second, third]


def test_all_backups_are_looked_at_also_where_the_newest_is_damaged(store, target):
    for id_ in ("20260101-000000-000000", "20260102-000000-000000"):
        (store.backups / f"{id_}.json").write_text("{")
    found = verify("paper", all_=True, store=store.folder)
    assert [one.id for one in found.backups] == ["20260102-000000-000000", "20260101-000000-000000"]
    assert all(one.problem for one in found.backups) and isinstance(found.error, DamageFound)
