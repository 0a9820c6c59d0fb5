"""Backups of a stack that takes orders: proven, damaged in every way, brought back to a point, brought back on a bare machine."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import jsonschema
import psycopg
import pyrage
import pytest

import hftctl
from hftctl import paths
from hftctl.archive import manifest as manifests
from hftctl.archive.store import Store
from hftctl.errors import DamageFound, Failed, Refused, UsageError
from hftctl.operations.backup.choose import Wanted
from hftctl.operations.backup.create import create
from hftctl.operations.backup.drill import drill
from hftctl.operations.backup.look import listed, verify
from hftctl.operations.backup.restore import restore
from hftctl.targets.local.identity import processes, working_directory
from tests.e2e.conftest import Stack, make_profile

SCHEMAS = Path(hftctl.__file__).parent / "cli" / "schemas"
pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def saved(home, tmp_path_factory):
    store = tmp_path_factory.mktemp("of-the-profile")
    stack = Stack(
        make_profile("saved", authentication="none", backup={"store": str(store), "keep": {"last": 1, "daily": 1}})
    )
    try:
        assert stack.deploy().result == "ready"
        yield stack
    finally:
        stack.target.stop()
        stack.target.remove(data=True)


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    key = pyrage.x25519.Identity.generate()
    path = tmp_path_factory.mktemp("keys") / "identity"
    path.write_text(f"# created: today\n{key}\n")
    return path, str(key.to_public())


@pytest.fixture(scope="module")
def taken(saved, identity, tmp_path_factory):
    """A store with two backups, the second of which goes on where the first one ended, and what clients were told."""
    folder = tmp_path_factory.mktemp("store")
    told, stop = [], threading.Event()

    def trade():
        while not stop.is_set():
            told.append(saved.order(price=f"{10 + len(told) % 5}.00"))

    trader = threading.Thread(target=trade)
    trader.start()
    try:
        first = create(saved.name, store=folder, recipient=identity[1])
        second = create(saved.name, store=folder, recipient=identity[1])
    finally:
        stop.set()
        trader.join()
    assert {answer.status_code for answer in told} == {201}, "no order waited for a backup, none failed"
    assert second.manifest.previous == first.manifest.id
    return folder, first, second


def said(kind, *words, code=0):
    """The document that the command prints."""
    argv = [sys.executable, "-m", "hftctl", "backup", *words, "-o", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=250)
    assert done.returncode == code, done.stdout + done.stderr
    document = json.loads(done.stdout)
    jsonschema.validate(document, json.loads((SCHEMAS / f"{kind}.json").read_text()))
    return document


def left_beside(home):
    folders = [working_directory(pid) for pid in processes()]
    mine = (
        one for one in folders if one and one.is_relative_to(home) and ".beside-" in str(one)
    )  # others drill as well
    return [*home.glob(".beside-*"), *mine]


@pytest.mark.timeout(300)
def test_a_backup_under_orders_is_proven_by_a_drill(saved, taken, home):
    folder, first, second = taken
    assert 0 < first.manifest.commands <= second.manifest.commands
    assert listed(saved.name, store=folder).error is None
    found = verify(saved.name, store=folder, all_=True)
    assert found.error is None and [one.id for one in found.backups] == [second.manifest.id, first.manifest.id]
    newest = create(saved.name, store=folder, recipient="")
    assert "no recipient was given" in newest.manifest.left_out[1], "what is not in it is said"
    again = create(saved.name, store=folder)
    assert again.copied == 0, "nothing came, so nothing is copied"
    where = ("-p", saved.name, "--store", str(folder))
    assert said("Backup", "create", *where)["copied"] == 0
    done = said("BackupDrill", "drill", *where)
    (one,) = done["partitions"]
    assert (done["result"], one["matches_original"], done["rpo_s"], done["error"]) == ("proven", True, 0.0, None)
    assert one["rows"] == one["events"] > one["sequence"]
    assert 0 < done["fetched_s"] < done["serving_s"] <= done["rows_s"] < done["rto_s"] < 300
    assert manifests.opened(Path(done["report"]), "report")["previous"] == ""
    assert len(said("BackupList", "list", *where)["backups"]) == 5
    assert said("BackupVerification", "verify", *where)["error"] is None
    assert left_beside(home) == []
    with psycopg.connect(**saved.target.postgres(0)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,), "what runs was left alone"


def flip(path, at=0.5):
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 1
    path.write_bytes(data)


def chunk(store, manifest):
    return store.path(manifest.partitions[0].segments[0].chunks[0])


def other_journal(store, manifest):
    """The whole backup of another deployment that was called the same: its own manifest is in order."""
    path = store.backups / f"{manifest.id}.json"
    document = json.loads(path.read_bytes())
    document["partitions"][0]["journal"] ^= 1
    path.write_text(manifests.sealed(document))


DAMAGES = {
    "a flipped byte of the journal": (lambda s, m: flip(chunk(s, m)), "is damaged, it holds 00000001.journal of partition 0"),
    "a flipped byte of a frame's end": (lambda s, m: flip(chunk(s, m), 0.999), "it holds 00000001.journal of partition 0"),
    "a missing chunk": (lambda s, m: chunk(s, m).unlink(), "is missing: it holds 00000001.journal of partition 0"),
    "a truncated chunk": (lambda s, m: os.truncate(chunk(s, m), 100), "is damaged, it holds 00000001.journal"),
    "an empty chunk": (lambda s, m: os.truncate(chunk(s, m), 0), "is damaged, it holds 00000001.journal"),
    "another chunk in its place": (
        lambda s, m: shutil.copy(s.path(m.revisions[0]), chunk(s, m)), "its content has the hash"),
    "flipped secrets": (lambda s, m: flip(s.path(m.secrets)), "is damaged, it holds a revision or the secrets"),
    "a flipped revision": (lambda s, m: flip(s.path(m.revisions[0])), "is damaged, it holds a revision or the secrets"),
    "a flipped byte of the manifest": (lambda s, m: flip(s.backups / f"{m.id}.json"), r"the manifest .* is damaged"),
    "a truncated manifest": (lambda s, m: os.truncate(s.backups / f"{m.id}.json", 900), r"the manifest .* is damaged"),
    "a manifest under another name": (
        lambda s, m: shutil.copy(s.backups / f"{m.previous}.json", s.backups / f"{m.id}.json"), "is of backup"),
    "another deployment's journal": (other_journal, "partition 0: journal 0x"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_found_and_named(saved, taken, tmp_path, damage):
    folder, _, second = taken
    shutil.copytree(folder, tmp_path / "store")
    store = Store(tmp_path / "store", saved.name)
    inflict, said = DAMAGES[damage]
    inflict(store, second.manifest)
    found = verify(saved.name, second.manifest.id, store=store.folder)
    assert isinstance(found.error, DamageFound)
    with pytest.raises(DamageFound, match=said):
        raise found.error
    if "manifest" in damage:
        assert second.manifest.id in {one.id for one in listed(saved.name, store=store.folder).backups if one.problem}
    if "secrets" not in damage and "revision" not in damage:  # those are here too, and what is here is used
        with pytest.raises((DamageFound, Refused)):
            restore(saved.name, second.manifest.id, store=store.folder)
    if "chunk" in damage or "byte of the journal" in damage:
        create(saved.name, store=store.folder)
        assert verify(saved.name, store=store.folder).error is None, "the next backup does not lean on what is damaged"
    assert saved.order().status_code == 201, "what stands was not touched"


def test_a_wrong_recipient_is_told_before_anything_is_copied(saved, tmp_path):
    with pytest.raises(UsageError, match="cannot encrypt to 'age1'"):
        create(saved.name, store=tmp_path, recipient="age1")
    assert not list(tmp_path.iterdir())


def test_another_deployments_store_is_refused_before_anything_is_written(saved, taken, tmp_path):
    folder, _, second = taken
    shutil.copytree(folder, tmp_path / "store")
    store = Store(tmp_path / "store", saved.name)
    for id_ in manifests.ids(store):
        other_journal(store, manifests.read(store, id_))
    before = sorted(store.objects.rglob("*"))
    with pytest.raises(Refused, match="the backups there are of another deployment of that name"):
        create(saved.name, store=store.folder)
    with pytest.raises(Refused, match="it is of another deployment of that name"):
        restore(saved.name, second.manifest.id, store=store.folder)
    assert sorted(store.objects.rglob("*")) == before


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_store_keeps_what_it_has(saved, tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=1m"):
        pytest.skip(f"cannot mount a tmpfs: {os.strerror(ctypes.get_errno())}")
    try:
        made = create(saved.name, store=folder)
        filler = folder / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        assert saved.order().status_code == 201
        with pytest.raises(Failed, match=r"the store .* is full: No space left on device. Backups that are there stay"):
            create(saved.name, store=folder)
        assert manifests.ids(Store(folder, saved.name)) == [made.manifest.id]
        assert verify(saved.name, store=folder).error is None
        filler.unlink()
        assert create(saved.name, store=folder).manifest.commands == made.manifest.commands + 1
        assert verify(saved.name, store=folder, all_=True).error is None
        read_only = 1 | 32  # MS_RDONLY, MS_REMOUNT
        assert libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", read_only, b"size=1m") == 0
        assert verify(saved.name, store=folder).error is None, "a store that nobody can write is good for reading"
        assert restore(saved.name, store=folder, dry_run=True).result == "planned"
        with pytest.raises(Failed, match=r"cannot write to the store .*: Read-only file system"):
            create(saved.name, store=folder)
        with pytest.raises(Refused, match=r"its report is kept in .*, which cannot be written"):
            drill(saved.name, store=folder)
    finally:
        libc.umount(os.fsencode(folder))


def test_the_profile_says_where_and_how_many(saved):
    store = Store(Path(saved.target.revisions()[-1].release.profile["backup"]["store"]), saved.name)
    first, second = (said("Backup", "create", "-p", saved.name)["id"] for _ in range(2))
    assert manifests.ids(store) == [first, second]
    asked = ("prune", "-p", saved.name, "--keep-weekly", "0", "--keep-monthly", "0")
    assert said("Error", *asked, code=2)["hint"].endswith("--yes"), "nobody is there who could be asked"
    assert said("BackupPrune", *asked, "--dry-run")["going"] == [first]
    assert said("BackupPrune", *asked, "--yes")["going"] == [first]
    assert manifests.ids(store) == [second] and verify(saved.name, all_=True).error is None


def test_a_drill_that_is_stopped_or_killed_leaves_nothing(saved, taken, home):
    argv = [sys.executable, "-m", "hftctl", "backup", "drill", "-p", saved.name, "--store", str(taken[0])]
    reports = len(list((taken[0] / saved.name / "drills").iterdir()))
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        saved.until(lambda: any(".beside-" in str(one) for one in left_beside(home)[1:]), "something runs beside")
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
        if number == signal.SIGTERM:
            assert process.returncode == 130 and "what it had brought up is gone, nothing else was touched" in told, (
                told
            )
        else:
            assert left_beside(home) != [], "nobody was left to end it"
            assert verify(saved.name, store=taken[0]).error is None
        assert left_beside(home) == []
    assert len(list((taken[0] / saved.name / "drills").iterdir())) == reports
    assert saved.order().status_code == 201


def test_a_killed_backup_does_not_exist_and_costs_the_next_one_nothing(saved, tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    argv = [sys.executable, "-m", "hftctl", "backup", "create", "-p", saved.name, "--store", str(folder)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    store = Store(folder, saved.name)
    saved.until(lambda: any(store.objects.glob("*/*.zst")), "something is copied")
    process.send_signal(signal.SIGKILL)
    process.wait()
    copied = len(list(store.objects.glob("*/*.zst")))
    assert manifests.ids(store) == [] or manifests.newest(store) is not None
    made = create(saved.name, store=folder)
    assert made.copied <= made.objects - copied + 1  # orders may have come meanwhile
    assert verify(saved.name, store=folder).error is None


@pytest.mark.timeout(300)
def test_back_to_a_command_and_then_on_a_bare_machine(saved, taken, identity, tmp_path, home):
    folder, _, _ = taken
    kept = saved.order(account="alice", price="7.50").json()
    later = saved.order(account="alice", price="7.40").json()
    create(saved.name, store=folder, recipient=identity[1])

    back = restore(saved.name, wanted=Wanted({0: kept["sequence"]}), store=folder)
    assert back.error is None, back.error.message
    assert back.partitions[0].sequence == kept["sequence"] == back.points[0].sequence
    assert back.behind[0] >= 1
    assert saved.read(kept["order_id"]) == kept
    assert httpx.get(f"{saved.target.endpoint()}/orders?account=alice&client_order_id={later['client_order_id']}").json() == {
        "orders": [], "cursor": None,
    }  # fmt: skip
    old = Path(back.kept)
    assert (old / "partition-0" / "journal" / "00000001.journal").exists(), "nothing is thrown away"

    bob = saved.order(account="bob", price="6.00").json()
    where = ("-p", saved.name, "--store", str(folder))
    marked = said("Backup", "mark", "with-bob", "--recipient", identity[1], *where)
    assert (marked["mark"], marked["partitions"][0]["sequence"]) == ("with-bob", bob["sequence"])
    with pytest.raises(Refused, match=f"as 'with-bob': backup {marked['id']} has that name"):
        create(saved.name, store=folder, mark="with-bob")
    after = saved.order(account="bob", price="5.00").json()
    create(saved.name, store=folder)
    passwords = {one.name: one.read_bytes() for one in saved.target.layout.secrets.iterdir()}
    saved.stop()
    shutil.rmtree(saved.target.layout.root)

    wrong = tmp_path / "identity"
    wrong.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    with pytest.raises(Refused, match="cannot decrypt the backup's secrets"):
        restore(saved.name, "with-bob", store=folder, identity=wrong)
    assert not saved.target.layout.root.exists()
    again = said("BackupRestore", "restore", "with-bob", "--identity", str(identity[0]), "--yes", *where)
    assert (again["kept"], again["result"], again["error"]) == ("", "restored", None)
    assert again["points"]["0"]["sequence"] == bob["sequence"]
    assert httpx.get(f"{saved.target.endpoint()}/orders/{after['order_id']}").status_code == 404
    assert saved.read(kept["order_id"]) == kept
    assert saved.read(bob["order_id"]) == bob
    assert {one.name: one.read_bytes() for one in saved.target.layout.secrets.iterdir()} == passwords
    assert saved.order().status_code == 201
    assert left_beside(home) == []
    assert paths.deployments().count(saved.name) == 1
