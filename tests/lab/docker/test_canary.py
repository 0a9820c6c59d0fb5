"""Weighted canaries on a real Docker engine: promoted under load, taken back with the cause, paused for want of requests, killed."""

import asyncio
import signal
import subprocess

import pytest

from tests.lab.docker import boundaries
from tests.lab.docker.watch import failures, traded

SLOW = """\
FROM {image}
USER 0:0
RUN file=$(find /opt/hftctl -path '*/stack/gateway/quick.py') \\
    && sed -i 's/start = time.perf_counter()/start = time.perf_counter(); time.sleep(0.005)/' "$file" \\
    && grep -q 'time.sleep(0.005)' "$file" && rm -f "${{file%/*}}"/__pycache__/quick.*.pyc
USER 1000:1000
"""


def settings(level="info", *, step_s=6, min_requests=30):
    return (
        f"gateways: 2\nlog_level: {level}\nrollout:\n  timeout_s: 180\n  canary: [5, 50, 100]\n  canary_step_s: {step_s}\n"
        f"  min_requests: {min_requests}\n"
    )


@pytest.fixture(scope="module")
def scene(lab, tmp_path_factory):
    scene = lab.scene(tmp_path_factory.mktemp("canary"), "canary", settings())
    assert scene.deploy()["canary"] == [], "nothing stood before"
    yield scene
    scene.destroy()


@pytest.fixture(scope="module")
def slow(lab):
    """An image whose gateways take 5 ms longer for each order."""
    subprocess.run(
        ["docker", "buildx", "build", "--load", "-q", "-t", "hftctl/stack:slow", "-"],
        input=SLOW.format(image=lab.built.reference), env={**lab.engine.env}, text=True, check=True, capture_output=True,
    )  # fmt: skip
    return "slow"


def beside(scene):
    there = scene.hftctl("status", "-p", scene.name, expect=(0, 9))["components"]
    return [one["component"] for one in there if one["component"].startswith(("canary", "baseline"))]


def test_a_good_release_is_promoted_and_a_slow_one_taken_back_and_no_request_fails(scene, slow):
    changes = [
        ("good", lambda: scene.deploy(settings("warning"))),
        ("slow", lambda: scene.deploy(settings("warning"), "--tag", slow, expect=(1,))),
    ]
    results, crowd = asyncio.run(traded(scene, changes, traders=10))
    assert failures(crowd) == []
    good, bad = results["good"], results["slow"]
    assert good["result"] == "ready"
    assert [one.partition(":")[0] for one in good["canary"]] == ["canary at 5 %", "canary at 50 %"]
    assert bad["rollout"]["result"] == "reverted"
    line = bad["message"].splitlines()[0]
    assert "the canary at 5 %" in line and "latency of orders: canary the slower one in" in line, line
    assert "baseline" in line and "requests)" in line, "both values and how many they are of"
    assert beside(scene) == []
    assert scene.hftctl("status", "-p", scene.name)["state"] == "ready"


@pytest.mark.long
def test_without_requests_it_pauses_and_goes_on_when_somebody_says_so(scene):
    error = scene.deploy(settings("info", step_s=2), expect=(8,))
    assert "is paused: canary at 5 %: too few requests" in error["message"]
    status = scene.hftctl("status", "-p", scene.name, expect=(9,))
    assert status["state"] == "paused"
    assert f"hftctl rollout continue -p {scene.name}" in status["hint"]
    assert beside(scene) == ["baseline-1", "canary-1"]
    done = scene.hftctl("rollout", "continue", "-p", scene.name, "--no-canary", "--yes")
    assert done["result"] == "ready"
    assert beside(scene) == []


@pytest.mark.long
def test_a_paused_one_goes_back(scene):
    scene.deploy(settings("debug", step_s=2), expect=(8,))
    assert scene.hftctl("rollout", "abort", "-p", scene.name, "--yes")["result"] == "ready"
    assert beside(scene) == []
    assert scene.hftctl("drift", "-p", scene.name)["findings"] == []


@pytest.mark.long
def test_killed_amid_its_canary_the_next_command_ends_it(scene):
    """While requests are divided; the way on finds the canary there and takes up the step."""
    scene.want(settings("warning", step_s=5, min_requests=5))
    asyncio.run(traded(scene, [("killed", lambda: _killed(scene))], traders=10))
    assert beside(scene) == []


def _killed(scene):
    before = boundaries.revision(scene)
    process = boundaries.run(scene, "after:9", ["deploy", str(scene.profile), "--yes"])
    said = process.communicate(timeout=boundaries.NEVER_S)[1]
    assert process.returncode == -signal.SIGKILL, said
    assert beside(scene), "it was amid its canary"
    done = scene.hftctl("rollout", "continue", "-p", scene.name, "--yes")
    assert done["result"] == "ready"
    assert boundaries.not_whole(scene, {before + 1}) == []
    return {}
