"""The whole stack on a real Docker engine: up, looked at, changed under load, taken back, and gone."""

import asyncio
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.faults.history import check
from tests.lab.docker.evidence import of
from tests.lab.docker.watch import failures, traded

SHORT = "gateways: 2\nrollout:\n  timeout_s: 180\n"


@pytest.fixture(scope="module")
def scene(lab, tmp_path_factory):
    scene = lab.scene(tmp_path_factory.mktemp("stack"), "stack", SHORT)
    yield scene
    scene.destroy()


@pytest.fixture(scope="module")
def first(scene):
    """The first deploy's result."""
    return scene.deploy()


def test_a_deploy_is_ready_and_proved_in_25_seconds(first):
    assert first["result"] == "ready"
    assert first["proofs"][0]["order"]["status"] == "filled"
    assert first["duration_s"] < 25


def test_nothing_to_do_is_said_in_2_seconds(scene, first):
    again = scene.deploy()
    assert again["result"] == "unchanged"
    assert again["duration_s"] < 2
    assert again["revision"] == first["revision"]


def test_a_rebuild_without_a_change_builds_nothing(scene, first, lab):
    done = scene.hftctl("build", "--only", "images", "--for", str(scene.profile))
    assert done["duration_s"] < 3
    assert [image["built"] for image in done["images"]] == [False]
    assert done["images"][0]["reference"] == lab.built.reference


def test_status_tells_every_component_and_its_engine(scene, first):
    status = scene.hftctl("status", "-p", "stack")
    assert status["state"] == "ready"
    assert {one["component"] for one in status["components"]} == {
        "postgres-0", "redis", "engine-0", "gateway-1", "gateway-2", "persister-0", "nginx",
    }  # fmt: skip
    assert status["partitions"][0]["engine"]["implementation"] == "cython"


def test_the_compose_file_of_users_is_valid(lab):
    done = lab.engine.docker("compose", "-f", "stack/compose/compose.yaml", "config", "--quiet")
    assert done.stderr == ""


def test_containers_are_as_hard_as_the_file_says(scene, first):
    for subject in ("postgres-0", "redis", "engine-0", "gateway-1", "persister-0", "nginx"):
        seen = scene.inspect(subject)
        host = seen["HostConfig"]
        assert host["ReadonlyRootfs"], subject
        assert host["CapDrop"] == ["ALL"], subject
        assert "no-new-privileges:true" in host["SecurityOpt"], subject
        assert not host["Privileged"], subject
        refused = scene.lab.engine.docker("exec", scene.container(subject), "sh", "-c", "echo x > /etc/x", check=False)
        assert refused.returncode, subject
        user = scene.lab.engine.docker("exec", scene.container(subject), "cat", "/proc/self/status").stdout
        assert re.search(r"^CapEff:\s0+$", user, re.MULTILINE), subject


def test_no_secret_is_seen_from_outside(scene, first):
    docker = scene.lab.engine.docker
    secrets = [
        docker("exec", scene.container("gateway-1"), "cat", f"/srv/hftctl/secrets/{name}").stdout.strip()
        for name in ("postgres_password", "redis_password")
    ]
    assert all(len(secret) > 30 for secret in secrets)
    subjects = ("postgres-0", "redis", "engine-0", "gateway-1", "persister-0", "nginx")
    seen = "".join(docker("inspect", scene.container(one)).stdout for one in subjects)
    for one in subjects:
        logs = docker("logs", scene.container(one))
        seen += logs.stdout + logs.stderr
    for one in subjects:
        pids = docker("top", scene.container(one), "-o", "pid").stdout.split()[1:]
        for pid in pids:
            seen += "".join(Path(f"/proc/{pid}/{what}").read_text(errors="replace") for what in ("environ", "cmdline"))
    seen += json.dumps(scene.hftctl("history", "-p", "stack"))
    assert [secret for secret in secrets if secret in seen] == []


def test_changes_under_load_fail_nobody(scene, first, tmp_path):
    """A new setting everywhere (gateways start-first, the engine on its journal), scaling, a restart of the engine, a rollback."""
    changes = [
        ("new settings", lambda: scene.deploy(SHORT + "log_level: warning\n")),
        ("scale to 3", lambda: scene.hftctl("scale", "gateway=3", "-p", "stack", "--yes")),
        ("restart of the engine", lambda: scene.hftctl("restart", "engine", "-p", "stack", "--yes")),
        ("rollback", lambda: scene.hftctl("rollback", "1", "-p", "stack", "--yes")),
    ]
    results, crowd = asyncio.run(traded(scene, changes, traders=8))
    assert failures(crowd) == []
    assert len(crowd.history) > 200
    evidence = of(scene, tmp_path)
    verdict = check(crowd.history, evidence.truth, incomplete=evidence.incomplete)
    assert (verdict.name, verdict.broken, evidence.problems) == ("valid", [], [])
    for name, result in results.items():
        assert result["result"] == "ready", name
        assert not [one for one in result["pauses"] if one.startswith("gateway")], "gateways are replaced start-first"
    assert results["restart of the engine"]["pauses"]["engine-0"] < 5000


def test_a_release_that_refuses_to_start_reverts_by_itself_and_names_its_cause(scene, first):
    error = scene.deploy(SHORT + "engine:\n  max_live_orders: 4096\n", expect=(1,))
    assert "max_live_orders" in error["message"].splitlines()[0]
    assert error["rollout"]["result"] == "reverted"
    assert scene.hftctl("status", "-p", "stack")["state"] == "ready"


def test_drift_is_told_with_the_command_that_mends_it(scene, first):
    docker = scene.lab.engine.docker
    network = f"hftctl-{scene.name}-data"
    docker("network", "disconnect", network, scene.container("gateway-1"))
    found = scene.hftctl("drift", "-p", "stack", expect=(3,))["findings"]
    mend = next(one["repair"] for one in found if one["subject"] == "gateway-1" and one["what"] == "network")
    subprocess.run(mend.split(), check=True)
    docker("update", "--pids-limit", "99", scene.container("redis"))
    found = scene.hftctl("drift", "-p", "stack", expect=(3,))["findings"]
    assert [(one["subject"], one["what"]) for one in found] == [("redis", "limits")]
    scene.hftctl("restart", "redis", "-p", "stack", "--yes")
    assert scene.hftctl("drift", "-p", "stack")["findings"] == []


def test_a_halt_needs_the_engine_only_and_is_released(scene, first):
    assert scene.hftctl("halt", "--why", "looking", "-p", "stack", "--yes")["partitions"][0]["done"]
    assert scene.hftctl("status", "-p", "stack", expect=(9,))["state"] == "halted"
    scene.hftctl("resume", "--why", "seen", "-p", "stack", "--yes")
    assert scene.hftctl("status", "-p", "stack")["state"] == "ready"


def test_the_running_book_is_its_journals(scene, first):
    assert scene.hftctl("book", "AAPL", "--verify", "-p", "stack")["problems"] == []


def test_stop_keeps_everything_and_start_brings_it_back(scene, first):
    before = scene.hftctl("status", "-p", "stack")["partitions"][0]["engine"]["sequence"]
    scene.hftctl("stop", "-p", "stack", "--yes")
    assert scene.hftctl("status", "-p", "stack")["state"] == "stopped"
    scene.hftctl("start", "-p", "stack", "--yes")
    assert scene.hftctl("status", "-p", "stack")["partitions"][0]["engine"]["sequence"] >= before
