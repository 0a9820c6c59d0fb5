"""`kill -9` of a rollout before and after every write to the API server: the next one ends where it should, and nothing is left over.

Of the components only the quick ones, so that every write can be tried; leases are short here, so that nobody waits for 15 s each time.
"""

import os
import signal
import sys
import warnings

import pytest

from hftctl.operations.request import Request
from hftctl.operations.rollout import roll
from hftctl.targets.kubernetes import components, lease, names
from hftctl.targets.kubernetes.api import Api
from hftctl.targets.kubernetes.driver import KubernetesTarget
from hftctl.targets.kubernetes.standing import Standing
from tests.lab.kubernetes.test_contract import QuickTarget

NAME = "kills"
PROOF = ({"order": {"status": "filled"}},)


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch):
    monkeypatch.setattr(lease, "HELD_S", 3.0)
    monkeypatch.setattr(lease, "RENEW_S", 0.8)


@pytest.fixture
def releases(lab):
    def made(size):
        return lab.release(NAME, redis={"max_memory_bytes": size << 20})

    yield made(64), made(128)
    target = QuickTarget(NAME)
    target.stop()
    target.remove(data=True)


def deploy(release):
    request = Request(
        verb="deploy",
        why="a test",
        timeout_s=90.0,
        lock_wait_s=20.0,
        prove=lambda *_: PROOF,
        report=lambda _progress: None,
    )
    return roll(QuickTarget(NAME), release, request)


def writes(act, kill_at=None):
    """How many times `act` writes; with `kill_at` it is killed at the nth point, before or after a write."""
    count, ask = 0, Api._ask

    def point():
        nonlocal count
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    def asked(self, method, *words, **more):
        if method == "GET":
            return ask(self, method, *words, **more)
        point()
        answer = ask(self, method, *words, **more)
        point()
        return answer

    Api._ask = asked
    try:
        act()
    finally:
        Api._ask = ask
    return count


def killed(act, kill_at):
    """In a child of ours. Whether it came that far."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            writes(act, kill_at)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def leftovers(lab, release):
    """Objects of ours that nothing wants, and those that are wanted and not there."""
    standing = Standing(KubernetesTarget(NAME).api, NAME)
    wanted = {
        (one["kind"], one["metadata"]["name"])
        for subject, spec in QuickTarget(NAME).desired(release).items()
        for one in components.rendered(subject, spec, NAME)
    }
    there = {key for key, one in standing.there.items() if names.COMPONENT in one["metadata"]["labels"]}
    leases = lab.cluster.kubectl.get("-n", names.namespace(NAME), "leases")["items"]
    return there ^ wanted, [one["metadata"]["name"] for one in leases]


def every(lab, releases, step):
    first, second = releases
    deploy(first)
    points = 0
    point = 0
    while killed(lambda: deploy(second), point):
        ended = deploy(second)
        assert ended.result in ("ready", "unchanged"), ended.cause
        assert QuickTarget(NAME).observe() == QuickTarget(NAME).desired(second), f"killed at point {point}"
        assert QuickTarget(NAME).journal().unsettled() is None
        deploy(first)
        deploy(first)  # what the one before left is pruned by the next
        difference, leases = leftovers(lab, first)
        assert {name for kind, name in difference if kind != "ConfigMap"} == set(), f"killed at point {point}"
        assert leases == []
        points += 1
        point += step
    return points


def test_a_rollout_killed_at_some_writes_is_ended_by_the_next(lab, releases):
    assert every(lab, releases, 7) >= 3


@pytest.mark.long
def test_a_rollout_killed_at_every_write_is_ended_by_the_next(lab, releases):
    assert every(lab, releases, 1) >= 20
