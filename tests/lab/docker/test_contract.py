"""The Compose target keeps what every target keeps. Of its components only the quick one: the whole stack is in test_stack.py."""

import secrets as random
import subprocess

import pytest

from hftctl.operations.deploy import make_release
from hftctl.profile.load import load
from hftctl.targets.compose import credentials
from hftctl.targets.compose.driver import ComposeTarget
from tests.hftctl.targets.contract import *  # noqa: F403 - its tests are collected here
from tests.hftctl.targets.contract import Case


class QuickTarget(ComposeTarget):
    def desired(self, release):
        return {subject: spec for subject, spec in super().desired(release).items() if subject == "redis"}


@pytest.fixture
def case(lab):
    name = f"contract-{random.token_hex(3)}"
    values = load("compose").values
    images = {**values["images"], "base": lab.images.base} | dict.fromkeys(
        ("postgres", "redis", "nginx"), lab.images.servers
    )

    def release(size):
        return make_release({**values, "images": images, "redis": {"max_memory_bytes": size << 20}}, name=name)

    def make_fail(target):
        """Its program is told to end at once, again and again."""
        subprocess.run(["docker", "exec", f"hftctl-{name}-redis", "true"], check=True)
        spec = target.desired(release(64))["redis"]
        broken = {**spec, "container": {**spec["container"], "Entrypoint": ["sh", "-c", "echo out of order; exit 3"]}}
        from hftctl.plan.diff import change

        target.apply(change("redis", spec, broken))
        return "redis"

    yield Case(
        lambda: QuickTarget(name), release(64), release(128), make_fail, lambda target: credentials.values(target.store)
    )
    target = QuickTarget(name)
    target.stop()
    target.remove(data=True)
    left = subprocess.run(
        ["docker", "volume", "ls", "-q", "--filter", f"label=hftctl.deployment={name}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert left.stdout == ""
