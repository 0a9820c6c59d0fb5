"""Backups that are deleted: only what nobody keeps, never what another one needs."""

import os
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hftctl.archive import manifest as manifests
from hftctl.archive.manifest import Manifest, Partition, Segment
from hftctl.archive.store import Store
from hftctl.errors import DamageFound, NotFound, Refused
from hftctl.operations.backup import drill
from hftctl.operations.backup import prune as module
from hftctl.operations.backup.prune import PROVEN, prune

NOW = datetime.now(UTC)
ONE = {"last": 1, "daily": 0, "weekly": 0, "monthly": 0}


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path / "home"))
    made = Store(tmp_path / "store", "paper")
    made.folder.mkdir()
    made.make()
    return made


def back_up(store, days_ago, *, mark="", grown=1):
    """Each has a full chunk that all share, and a last one that is its own."""
    at = NOW - timedelta(days=days_ago)
    shared, _ = store.put(b"the full chunk")
    chunks = (shared, store.put(f"the end at {at}".encode() * grown)[0])
    made = Manifest(
        id=f"{at:%Y%m%d-%H%M%S}-00000{days_ago % 10}", deployment="paper", made_by="mark" if mark else "create",
        actor="ana@desk", created_ns=int(at.timestamp() * 1e9), took_s=0.1, version="0", release={},
        revisions=(store.put(b"a revision")[0],), secrets="", recipient="",
        partitions=(Partition(0, 7, 10, 11, 0, "{}", (Segment(1, 1, 1, 1, "", chunks),)),), left_out=(), mark=mark,
    )  # fmt: skip
    manifests.write(store, made)
    return made


def files(store):
    return sorted(path for path in store.objects.glob("*/*"))


def whole(store, made):
    return all(store.get(name, "it") for name in made.objects())


def test_what_nobody_keeps_goes_and_what_others_share_stays(store):
    old, newest = back_up(store, 40), back_up(store, 1)
    (own,) = set(old.objects()) - set(newest.objects())
    half_written = store.path(own).with_name(".half.zst.x7")
    half_written.write_bytes(b"x")
    planned = prune("paper", keep=ONE, store=store.folder, dry_run=True)
    assert (planned.going, planned.done, planned.objects) == ([old.id], False, 2)
    assert planned.freed_bytes == store.path(own).stat().st_size + 1
    assert manifests.ids(store) == [old.id, newest.id] and half_written.exists(), "a dry run deletes nothing"
    done = prune("paper", keep=ONE, store=store.folder)
    assert replace(planned, done=True) == done
    assert manifests.ids(store) == [newest.id]
    assert files(store) == sorted({store.path(name) for name in newest.objects()})
    assert whole(store, newest)
    again = prune("paper", keep=ONE, store=store.folder, confirm=pytest.fail)
    assert (again.going, again.objects) == ([], 0), "nothing to do is not asked about"


def test_a_mark_and_the_last_proof_keep_theirs_until_told_otherwise(store):
    proven, failed, marked, newest = (
        back_up(store, days, mark=mark) for days, mark in ((50, ""), (40, ""), (30, "before-7"), (1, ""))
    )
    drill.record(store, {"result": "proven", "backup": proven.id})
    drill.record(store, {"result": "failed", "backup": failed.id})
    done = prune("paper", keep=ONE, store=store.folder)
    assert {one.id: one.why for one in done.backups} == {
        newest.id: ("last",), marked.id: ("mark before-7",), failed.id: (), proven.id: (PROVEN,),
    }  # fmt: skip
    with pytest.raises(NotFound, match="no backup of 'paper' is marked before-8"):
        prune("paper", keep=ONE, store=store.folder, unmark=["before-8"])
    assert prune("paper", keep=ONE | {"last": 2}, store=store.folder, unmark=["before-7"]).going == []
    assert manifests.marks(store) == {}, "kept for another reason, but without its mark"
    assert prune("paper", keep=ONE, store=store.folder).going == [marked.id]
    assert whole(store, proven) and whole(store, newest)


def test_a_damaged_manifest_stops_everything_until_it_is_given_up(store):
    old, newest = back_up(store, 40), back_up(store, 1)
    path = store.backups / f"{old.id}.json"
    path.write_bytes(path.read_bytes().replace(b"ana@desk", b"eve@desk"))
    before = files(store)
    with pytest.raises(DamageFound, match=r"nothing was deleted: the manifest .* is damaged"):
        prune("paper", keep=ONE, store=store.folder)
    assert (manifests.ids(store), files(store)) == ([old.id, newest.id], before)
    done = prune("paper", keep=ONE, store=store.folder, damaged=True)
    assert done.going == [old.id] and whole(store, newest) and len(files(store)) == 3


def test_who_says_no_loses_nothing(store):
    back_up(store, 40), back_up(store, 1)
    before = files(store)

    def no(planned):
        raise Refused("no")

    with pytest.raises(Refused):
        prune("paper", keep=ONE, store=store.folder, confirm=no)
    assert (len(manifests.ids(store)), files(store)) == (2, before)


def test_killed_anywhere_what_stays_is_whole_and_the_next_one_ends_it(store, monkeypatch):
    """A child dies before each of its deletions in turn."""
    old = [back_up(store, days) for days in (60, 50, 40)]
    newest = back_up(store, 1, mark="now")
    unlink = Path.unlink
    deaths = 0
    for alive in range(20):
        child = os.fork()
        if child == 0:
            left = [alive]

            def mortal(self, *words, left=left, **more):
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return unlink(self, *words, **more)

            monkeypatch.setattr(Path, "unlink", mortal)
            try:
                prune("paper", keep=ONE, store=store.folder)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert whole(store, newest) and newest.id in manifests.ids(store)
        for one in old:
            if one.id in manifests.ids(store):
                assert whole(store, one), "while it is there, it can be restored"
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        deaths += 1
    assert deaths >= 2, sys.version
    assert manifests.ids(store) == [newest.id] and len(files(store)) == 3
    assert module.prune("paper", keep=ONE, store=store.folder).objects == 0
