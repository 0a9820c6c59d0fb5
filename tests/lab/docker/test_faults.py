"""What happens around a stack on Docker, and what hftctl's own death leaves: a clear state, and recovery without a hand."""

import asyncio

import pytest

from tests.faults.history import check
from tests.lab.docker.evidence import of
from tests.lab.docker.kills import killed
from tests.lab.docker.recording import recorded
from tests.lab.docker.watch import traded

SETTINGS = "gateways: 1\nrollout:\n  timeout_s: 180\n"


@pytest.fixture(scope="module")
def scene(lab, tmp_path_factory):
    scene = lab.scene(tmp_path_factory.mktemp("faults"), "faults", SETTINGS)
    scene.deploy()
    yield scene
    scene.destroy()


@pytest.mark.parametrize(
    ("number", "when"),
    [(3, "before"), *(pytest.param(*at, marks=pytest.mark.long) for at in ((2, "after"), (4, "after")))],
)
def test_a_killed_scale_is_ended_by_the_next_command(scene, number, when):
    """After the first intent, before and after outcomes: the lock is free at once, and what stands is one revision's."""
    there = {one["component"] for one in scene.hftctl("status", "-p", scene.name)["components"]}
    count = 1 if "gateway-2" in there else 2
    seen = killed(scene, number, when, "scale", f"gateway={count}", "-p", scene.name, "--yes")
    assert seen.reached
    assert seen.whole
    assert seen.result in ("ready", "unchanged")
    scene.until_ready(1)


@pytest.mark.parametrize("words", [
    "deploy PROFILE", "scale gateway=3 -p faults", "restart -p faults", "rollback -p faults", "stop -p faults", "destroy --data -p faults",
])  # fmt: skip
def test_a_dry_run_makes_no_writing_call(scene, words):
    scene.want(SETTINGS + "log_level: warning\n")
    with recorded(scene.lab.engine.socket) as proxy:
        typed = words.replace("PROFILE", str(scene.profile)).split()
        planned = scene.hftctl(*typed, "--dry-run", "--yes", DOCKER_HOST=proxy.address)
    assert planned["result"] == "planned"
    assert planned["plan"]["pending"] > 0
    assert len(proxy.calls) > 3
    assert [call for call in proxy.calls if not call.startswith(("GET ", "HEAD "))] == []


def test_a_writing_call_would_have_been_seen(scene):
    with recorded(scene.lab.engine.socket) as proxy:
        scene.hftctl("restart", "redis", "-p", "faults", "--yes", DOCKER_HOST=proxy.address)
    kinds = {(call.split()[0], call.split("?")[0].rpartition("/")[2]) for call in proxy.calls}
    assert {("POST", "create"), ("POST", "start"), ("POST", "stop"), ("POST", "rename")} <= kinds
    assert [call for call in proxy.calls if call.startswith("DELETE ")]


def test_a_paused_engine_is_told_and_goes_on(scene):
    scene.lab.engine.docker("pause", scene.container("engine-0"))
    try:
        status = scene.hftctl("status", "-p", scene.name, expect=(9,))
        assert "docker unpause" in status["message"]
    finally:
        scene.lab.engine.docker("unpause", scene.container("engine-0"))
    scene.until_ready()


def test_a_gateway_without_its_network_goes_on_taking_orders(scene, tmp_path):
    network = f"hftctl-{scene.name}-data"

    def cut():
        scene.lab.engine.docker("network", "disconnect", network, scene.container("gateway-1"))
        status = scene.hftctl("status", "-p", scene.name, expect=(9,))
        assert "was cut off from its network" in status["message"]
        scene.lab.engine.docker("network", "connect", "--alias", "gateway-1", network, scene.container("gateway-1"))
        scene.until_ready()
        return {}

    _, crowd = asyncio.run(traded(scene, [("cut", cut)], traders=4))
    placed = [one for one in crowd.history if one.op == "place"]
    assert [one.response for one in placed if one.status not in (200, 201, 422)] == []
    evidence = of(scene, tmp_path)
    verdict = check(crowd.history, evidence.truth, incomplete=evidence.incomplete)
    assert (verdict.name, verdict.broken, evidence.problems) == ("valid", [], [])


def test_a_restart_of_docker_brings_everything_back(scene, tmp_path):
    _, crowd = asyncio.run(traded(scene, [("restart", lambda: scene.lab.engine.restart() or {})], traders=4))
    scene.until_ready()
    evidence = of(scene, tmp_path)
    verdict = check(crowd.history, evidence.truth, incomplete=evidence.incomplete)
    assert (verdict.name, verdict.broken, evidence.problems) == ("valid", [], [])
    assert scene.hftctl("drift", "-p", scene.name)["findings"] == []
