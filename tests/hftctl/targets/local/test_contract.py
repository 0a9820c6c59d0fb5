"""The local target keeps what every target keeps. Of its components only the quick ones: the whole stack is in tests/e2e."""

import os
import signal

import pytest

from hftctl.profile.load import load
from hftctl.release import Release
from hftctl.targets.local import LocalTarget, credentials
from tests.hftctl.targets.contract import *  # noqa: F403 - its tests are collected here
from tests.hftctl.targets.contract import Case
from tests.ports import free_ports

QUICK = ("supervisor", "redis")


class QuickTarget(LocalTarget):
    def desired(self, release):
        return {subject: spec for subject, spec in super().desired(release).items() if subject in QUICK}


def make_release(port, max_memory_bytes):
    values = load("local").values
    profile = {**values, "ports": {**values["ports"], "redis": port}, "redis": {"max_memory_bytes": max_memory_bytes}}
    return Release("paper", "local", "development", profile, {"engine": "a" * 64, "stack": "b" * 64}, (1, 3))


def make_fail(target):
    """Its configuration is broken under it, and it dies."""
    [pid] = [component.pid for component in target.status() if component.component == "redis"]
    (target.layout.config / "redis.conf").write_text("port nonsense\n")
    os.kill(pid, signal.SIGKILL)
    return "redis"


def secrets(target):
    return [credentials.read(target.layout, name) for name in ("postgres_password", "redis_password")]


@pytest.fixture
def case(tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))
    port = free_ports(1)[0]
    releases = [make_release(port, size << 20) for size in (64, 128)]
    yield Case(lambda: QuickTarget("paper"), *releases, make_fail, secrets)
    target = QuickTarget("paper")
    target.stop()
    target.remove(data=True)
