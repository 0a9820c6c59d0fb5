"""What happens around a stack on Docker, and what hftctl's own death leaves: a clear state, and recovery without a hand."""

import asyncio
import time

import pytest

from tests.faults.history import check
from tests.lab.docker import bad, boundaries
from tests.lab.docker.deploys import wrong_one
from tests.lab.docker.evidence import of
from tests.lab.docker.watch import traded

SETTINGS = "gateways: 1\nrollout:\n  timeout_s: 180\n"


@pytest.fixture(scope="module")
def scene(lab, tmp_path_factory):
    scene = lab.scene(tmp_path_factory.mktemp("faults"), "faults", SETTINGS)
    scene.deploy()
    yield scene
    scene.destroy()


def until(condition, seconds=60.0, stands=lambda: "not in time"):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, stands()
        time.sleep(0.5)
    return found


def status(scene):
    return scene.hftctl("status", "-p", scene.name, expect=(0, 9))


def state(scene):
    return status(scene)["state"]


@pytest.mark.parametrize(
    ("verb", "point", "way"), [("deploy", "after:1 intent", "abort"), ("scale", "before:2 outcome", "continue")]
)
def test_a_killed_command_is_ended_by_the_next_one(scene, verb, point, way):
    """Every boundary is in the long form."""
    seen = boundaries.strike(scene, verb, point, way)
    assert seen.problems == []
    assert seen.told == "interrupted"
    assert seen.result in ("ready", "unchanged")


def test_an_engine_killed_for_its_memory_is_not_waited_for(scene):
    """Clients wait while it is tried. Docker may have begun the next try before the first death is seen."""
    began = time.time()
    done = wrong_one(scene, bad.CRASHES)
    assert done["result"] == "reverted"
    assert "engine-0 was killed for its memory: its limit is" in done["message"].partition("\n")[0]
    span = ("--since", f"{began:.3f}", "--until", f"{time.time():.3f}")
    killed = scene.lab.engine.docker("events", *span, "--filter", "event=oom", "--format", "{{.ID}}").stdout.split()
    assert len(killed) in (1, 2)
    assert state(scene) == "ready"


def test_a_paused_engine_is_told_and_goes_on(scene):
    scene.lab.engine.docker("pause", scene.container("engine-0"))
    try:
        status = scene.hftctl("status", "-p", scene.name, expect=(9,))
        assert "docker unpause" in status["message"]
    finally:
        scene.lab.engine.docker("unpause", scene.container("engine-0"))
    until(lambda: state(scene) == "ready")


def test_a_gateway_without_its_network_goes_on_taking_orders(scene, tmp_path):
    network = f"hftctl-{scene.name}-data"

    def cut():
        scene.lab.engine.docker("network", "disconnect", network, scene.container("gateway-1"))
        status = scene.hftctl("status", "-p", scene.name, expect=(9,))
        assert "was cut off from its network" in status["message"]
        scene.lab.engine.docker("network", "connect", "--alias", "gateway-1", network, scene.container("gateway-1"))
        until(lambda: state(scene) == "ready")
        return {}

    _, crowd = asyncio.run(traded(scene, [("cut", cut)], traders=4))
    placed = [one for one in crowd.history if one.op == "place"]
    assert [one.response for one in placed if one.status not in (200, 201, 422)] == []
    evidence = of(scene, tmp_path)
    verdict = check(scene.history, evidence.truth, incomplete=evidence.incomplete)
    assert (verdict.name, verdict.broken, evidence.problems) == ("valid", [], [])


def test_a_restart_of_docker_brings_everything_back(scene, tmp_path):
    asyncio.run(traded(scene, [("restart", lambda: scene.lab.engine.restart() or {})], traders=4))
    until(lambda: state(scene) == "ready", stands=lambda: status(scene)["message"])
    evidence = of(scene, tmp_path)
    verdict = check(scene.history, evidence.truth, incomplete=evidence.incomplete)
    assert (verdict.name, verdict.broken, evidence.problems) == ("valid", [], [])
    assert scene.hftctl("drift", "-p", scene.name)["findings"] == []
