"""Lock, journal and revisions, against an API server whose clock and answers a test sets."""

import json
import random

import pytest

from hftctl.errors import Failed, LockHeld, NotFound, Refused
from hftctl.plan.journal import RolloutJournal
from hftctl.targets.kubernetes import cluster, credentials, lease, names
from hftctl.targets.kubernetes.api import Conflict
from hftctl.targets.kubernetes.store import Store, StoredJournal
from tests.hftctl.targets.kubernetes.api_server import Refusal, api_server

LEASE = "/apis/coordination.k8s.io/v1/namespaces/hftctl-paper/leases/lock"


@pytest.fixture
def server():
    with api_server() as started:
        yield started


def lock(api, why="a test", *, shared=False, wait_s=0.0):
    return Store(api, "paper").lock(why, wait_s=wait_s, shared=shared)


def test_a_lock_excludes_and_names_its_holder(server):
    objects, api = server
    with lock(api, "fix fees"):
        with pytest.raises(LockHeld) as caught, lock(api, "mine"):
            pass
        assert "fix fees" in caught.value.message
        assert lease.holder(api, "paper").startswith(lease.user())
    assert LEASE not in objects.there
    assert lease.holder(api, "paper") == ""


def abandoned(objects, api):
    """As a killed holder leaves it."""
    api.create(lease._manifest("paper", names.LOCK, "killed"))
    return objects.there[LEASE]["metadata"]["uid"]


def test_a_lock_is_held_until_its_holder_was_silent_for_long_enough(server):
    objects, api = server
    uid = abandoned(objects, api)
    objects.ahead_s = lease.HELD_S - 2
    with pytest.raises(LockHeld, match="killed"), lock(api):
        pass
    objects.ahead_s = lease.HELD_S + 2
    with lock(api):
        assert objects.there[LEASE]["metadata"]["uid"] != uid


def test_what_our_clock_says_does_not_matter(server):
    """An API server that is an hour ahead, or behind, measures the same silence."""
    for ahead_s in (3600.0, -3600.0):
        objects, api = server
        objects.ahead_s = ahead_s
        abandoned(objects, api)
        with pytest.raises(LockHeld), lock(api):
            pass
        objects.ahead_s = ahead_s + lease.HELD_S + 2
        with lock(api):
            pass


def test_who_renews_in_time_is_not_thrown_out(server):
    """Between the look at a silent lease and its deletion its holder was heard again."""
    objects, api = server
    abandoned(objects, api)
    seen = api.get("Lease", names.LOCK, "hftctl-paper")
    api.replace(seen)
    lease._take_away(api, seen)
    assert LEASE in objects.there


def test_a_holder_that_lost_its_lock_writes_nothing_more(server, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_S", 0.05)
    objects, api = server
    store = Store(api, "paper")
    with store.lock("slow", wait_s=0, shared=False):
        store.write("ConfigMap", "one", data={})
        del objects.there[LEASE]
        abandoned(objects, api)
        store._lease._thread.join(5)
        before = dict(objects.there)
        with pytest.raises(Failed, match="the lock was lost"):
            store.write("ConfigMap", "two", data={})
        assert objects.there == before
    assert LEASE in objects.there, "it is somebody else's"


def test_shared_locks_share_and_a_dead_one_keeps_nobody_out(server):
    objects, api = server
    with lock(api, shared=True), lock(api, shared=True), pytest.raises(LockHeld), lock(api):
        pass
    api.create(lease._manifest("paper", f"{lease.SHARED}dead", "killed"))
    objects.ahead_s = lease.HELD_S + 2
    with lock(api):
        pass


def test_a_long_revision_is_cut_and_comes_back_whole(server):
    objects, api = server
    document = random.Random(1).randbytes(2_000_000)  # as little compressible as a revision never is
    Store(api, "paper").write_revision(7, document)
    assert sum("secrets/revision-000007" in name for name in objects.there) == 3
    assert all(len(json.dumps(one)) < 1 << 20 for one in objects.there.values())
    assert Store(api, "paper").revisions() == {7: document}


@pytest.mark.parametrize("written", [1, 2])
def test_a_revision_that_was_not_all_written_is_none(server, written):
    objects, api = server
    Store(api, "paper").write_revision(1, b"whole")
    Store(api, "paper").write_revision(2, random.Random(2).randbytes(2_000_000))
    for index in range(3 - written):
        del objects.there[f"/api/v1/namespaces/hftctl-paper/secrets/revision-000002-{index}"]
    assert Store(api, "paper").revisions() == {1: b"whole", 2: b""}


def journal(api, tmp_path):
    return RolloutJournal(tmp_path / "journal", file=StoredJournal(api, Store(api, "paper")))


def begin(one, rollout):
    return one.begin(rollout, verb="deploy", actor="ana", why="", from_revision=0, to_release="x", changes=())


def test_two_who_write_the_journal_at_once_do_not_lose_a_line(server, tmp_path):
    _, api = server
    first, second = journal(api, tmp_path), journal(api, tmp_path)
    begin(first, "r1")
    first.end("ready")
    late = StoredJournal(api, Store(api, "paper"))
    late.read()
    begin(second, "r2")
    with pytest.raises(Conflict):
        late._write(b"")
    assert [one.id for one in journal(api, tmp_path).rollouts()] == ["r1", "r2"]


def test_secrets_are_made_once_and_hashes_are_all_that_pods_see_of_keys(server):
    _, api = server
    store = Store(api, "paper")
    credentials.make(store, ["alice"])
    first, keys = credentials.read(store, names.CREDENTIALS), credentials.read(store, names.KEYS)
    credentials.make(store, ["alice"])
    assert credentials.read(store, names.CREDENTIALS) == first
    credentials.make(store, ["alice", "bob"])
    more = credentials.read(store, names.CREDENTIALS)
    assert more["postgres_password"] == first["postgres_password"]
    assert " trader bob\n" in more["api_keys"]
    assert credentials.read(store, names.KEYS)["api_key.alice"] == keys["api_key.alice"]
    assert not [key for key in keys.values() if key in "".join(more.values())]
    assert set(keys.values()) < set(credentials.values(store))


@pytest.mark.parametrize(
    ("refusal", "kind", "said"),
    [
        (Refusal(401, "Unauthorized", "token expired"), NotFound, "does not take our credentials: token expired"),
        (Refusal(403, "Forbidden", "secrets is forbidden"), NotFound, "no right to: secrets is forbidden"),
        (Refusal(403, "Forbidden", "exceeded quota: small"), Failed, "exceeded quota: small"),
        (Refusal(422, "Invalid", "spec.x: Forbidden"), Failed, "spec.x: Forbidden"),
        (Refusal(500, "InternalError", "webhook denied"), NotFound, "HTTP 500: webhook denied"),
    ],
)
def test_a_refusal_is_a_sentence(server, refusal, kind, said):
    objects, api = server
    objects.refusals = [refusal]
    with pytest.raises(kind, match=said):
        Store(api, "paper").write("ConfigMap", "one", data={})


def test_a_server_that_is_busy_is_asked_again(server):
    objects, api = server
    api.patience_s = 5.0
    objects.refusals = [Refusal(429, "TooManyRequests", "later"), Refusal(503, "ServiceUnavailable", "later")]
    Store(api, "paper").write("ConfigMap", "one", data={"a": "b"})
    assert len(objects.requests) == 3


def test_a_cluster_is_known_by_what_it_is(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))
    objects, api = server
    system = {"kind": "Namespace", "metadata": {"name": "kube-system"}}
    objects._stored("/api/v1/namespaces/kube-system", system, "11111111-aaaa")
    cluster.pin("paper", cluster.check(api, "desk", "paper"))
    assert cluster.pinned() == ["paper"]
    assert cluster.check(api, "called-otherwise", "paper").uid == "11111111-aaaa"
    objects._stored("/api/v1/namespaces/kube-system", system, "22222222-bbbb")
    with pytest.raises(Refused) as caught:
        cluster.check(api, "production", "paper")
    assert "stands on another cluster than the context 'production' leads to" in caught.value.message
    assert "kubectl config use-context desk" in caught.value.hint
    cluster.forget("paper")
    assert cluster.check(api, "production", "paper").uid == "22222222-bbbb"
