"""The Kubernetes target keeps what every target keeps. Of its components only the quick ones: the whole stack is in test_stack.py."""

import secrets as random

import pytest

from hftctl.plan.diff import change
from hftctl.targets.kubernetes import credentials
from hftctl.targets.kubernetes.driver import KubernetesTarget
from tests.hftctl.targets.contract import *  # noqa: F403 - its tests are collected here
from tests.hftctl.targets.contract import Case

QUICK = ("namespace", "redis")


class QuickTarget(KubernetesTarget):
    def desired(self, release):
        return {subject: spec for subject, spec in super().desired(release).items() if subject in QUICK}


@pytest.fixture
def case(lab):
    name = f"contract-{random.token_hex(3)}"

    def release(size):
        return lab.release(name, redis={"max_memory_bytes": size << 20})

    def make_fail(target):
        """Its settings are none that it starts with."""
        spec = target.desired(release(64))["redis"]
        broken = {**spec, "files": {**spec["files"], "redis.conf": ["port nonsense"]}}
        target.apply(change("redis", spec, broken))
        return "redis"

    yield Case(
        lambda: QuickTarget(name),
        release(64),
        release(128),
        make_fail,
        lambda target: credentials.values(target.store),
        ready_timeout_s=90.0,
        lock_wait_s=25.0,  # a lease is free 15 s after its holder was heard last
    )
    target = QuickTarget(name)
    target.stop()
    target.remove(data=True)
    assert lab.cluster.kubectl("get", "namespace", f"hftctl-{name}", check=False).returncode, "nothing is left"
