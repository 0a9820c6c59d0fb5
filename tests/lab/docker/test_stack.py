"""The whole stack on a real Docker engine: up, looked at, changed under load, taken back, and gone."""

import asyncio
import json
import re
import struct
import subprocess
from pathlib import Path

import pytest

from hftctl.targets.compose.driver import ComposeTarget
from tests.faults.history import check
from tests.forwarding import forwarded, said
from tests.lab.docker.contents import ours, saved
from tests.lab.docker.evidence import of
from tests.lab.docker.health import under_load
from tests.lab.docker.packages import CACHE
from tests.lab.docker.recording import recorded
from tests.lab.docker.scene import until
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


def test_a_deploy_is_ready_and_proved(first):
    assert first["result"] == "ready"
    assert first["proofs"][0]["order"]["status"] == "filled"


def test_a_deploy_without_a_change_changes_nothing(scene, first):
    again = scene.deploy()
    assert again["result"] == "unchanged"
    assert again["revision"] == first["revision"]


def test_status_tells_every_component_and_its_engine(scene, first):
    status = scene.hftctl("status", "-p", "stack")
    assert status["state"] == "ready"
    assert {one["component"] for one in status["components"]} == {
        "postgres-0", "redis", "engine-0", "gateway-1", "gateway-2", "persister-0", "nginx",
    }  # fmt: skip
    assert status["partitions"][0]["engine"]["implementation"] == "cython"


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


def test_health_answers_within_a_second_at_full_load(scene, first):
    """A minute of it, with each profile as it ships, is in test_health.py."""
    asked = under_load(scene, 10)
    assert asked.bad == []
    assert len(asked.seconds) >= 10
    assert asked.slowest_s < 1.0
    assert asked.per_s > 100


def test_no_secret_is_seen_from_outside(scene, first, lab, tmp_path):
    """Passwords and keys of a deployment with authentication, searched where others can look."""
    docker = lab.engine.docker
    scene.deploy(SHORT + "authentication: api_key\n")
    placed = scene.hftctl("order", "place", "AAPL", "buy", "1", "1.00", "--yes", "-p", "stack")
    assert placed["order"]["status"] == "open"
    volumes = [CACHE / "docker" / "volumes" / f"hftctl-stack-{name}" / "_data" for name in ("secrets", "keys")]
    files = [
        path
        for volume in volumes
        for path in volume.iterdir()
        if path.name.endswith("_password") or volume is volumes[1]
    ]
    secrets = [path.read_text().strip() for path in files]
    assert len(secrets) > 5
    assert all(len(secret) > 30 for secret in secrets)
    seen = json.dumps(scene.hftctl("history", "-p", "stack")) + docker("version").stdout
    for file in scene.hftctl("render", str(scene.profile), "--to", str(tmp_path / "files"))["files"]:
        seen += (tmp_path / "files" / file).read_text()
    everything = docker("ps", "-aq", "--no-trunc").stdout.split()
    assert len(everything) > len(
        scene.hftctl("status", "-p", "stack")["components"]
    )  # the lists of the schema's job and the records too
    for one in everything:
        logs = docker("logs", one)
        seen += docker("inspect", one).stdout + logs.stdout + logs.stderr
    running = docker("ps", "-q").stdout.split()
    for one in running:
        for pid in docker("top", one, "-o", "pid").stdout.split()[1:]:
            seen += "".join(Path(f"/proc/{pid}/{what}").read_text(errors="replace") for what in ("environ", "cmdline"))
    assert seen.count("PATH=") > len(running)  # so that what is there is found
    assert [secret for secret in secrets if secret in seen] == []
    for image in ours(lab.engine):
        assert saved(lab.engine, image, [secret.encode() for secret in secrets]) == set(), image
    scene.deploy()


@pytest.mark.parametrize("words", [
    "deploy PROFILE", "scale gateway=4 -p stack", "restart -p stack", "rollback -p stack", "stop -p stack", "destroy --data -p stack",
])  # fmt: skip
def test_a_dry_run_makes_no_writing_call(scene, first, words):
    scene.want(SHORT + "log_level: warning\n")
    with recorded(scene.lab.engine.socket) as proxy:
        typed = words.replace("PROFILE", str(scene.profile)).split()
        planned = scene.hftctl(*typed, "--dry-run", "--yes", DOCKER_HOST=proxy.address)
    assert planned["result"] == "planned"
    assert planned["plan"]["pending"] > 0
    assert len(proxy.calls) > 3
    assert [call for call in proxy.calls if not call.startswith(("GET ", "HEAD "))] == []


def test_a_writing_call_would_have_been_seen(scene, first):
    with recorded(scene.lab.engine.socket) as proxy:
        scene.hftctl("restart", "redis", "-p", "stack", "--yes", DOCKER_HOST=proxy.address)
    kinds = {(call.split()[0], call.split("?")[0].rpartition("/")[2]) for call in proxy.calls}
    assert {("POST", "create"), ("POST", "start"), ("POST", "stop"), ("POST", "rename")} <= kinds
    assert [call for call in proxy.calls if call.startswith("DELETE ")]


def test_a_release_that_refuses_to_start_reverts_by_itself_and_names_its_cause(scene, first):
    error = scene.deploy(SHORT + "engine:\n  max_live_orders: 4096\n", expect=(1,))
    assert "max_live_orders" in error["message"].splitlines()[0]
    assert error["rollout"]["result"] == "reverted"
    assert scene.hftctl("status", "-p", "stack")["state"] == "ready"


def test_what_containers_leave_that_are_gone_does_not_pile_up(scene, first):
    """A rollout takes away the metrics of those before it, and the sockets of those that never took over."""
    run = CACHE / "docker" / "volumes" / "hftctl-stack-run" / "_data"
    folder, waiting = run / "metrics", run / "gateway-1.sock.0123456789ab.1"
    waiting.touch()
    for _ in range(2):
        scene.hftctl("restart", "gateway", "-p", "stack", "--yes")
    hosts = {name.stem.rpartition(".")[0].rpartition("_")[2] for name in folder.glob("*.db")}
    there = {scene.inspect(subject)["Id"][:12] for subject in ("engine-0", "gateway-1", "gateway-2", "persister-0")}
    assert there <= hosts
    assert len(hosts) <= len(there) + 2  # and the two gateways of the restart before
    assert not waiting.exists()
    assert (run / "gateway-1.sock").exists()


def test_status_says_of_a_gateway_what_it_is_now(scene, first):
    """Docker calls it healthy until three checks in a row have failed, beside what the last of them said."""
    docker = scene.lab.engine.docker
    target = ComposeTarget("stack")

    def gateway():
        return next(one for one in target.status() if one.component == "gateway-1")

    docker("stop", scene.container("engine-0"))
    until(lambda: scene.inspect("gateway-1")["State"]["Health"]["Log"][-1]["ExitCode"])
    assert not gateway().ready
    docker("start", scene.container("engine-0"))
    # Docker looks again within ten seconds; who asks before that must not be told what it saw last.
    told = until(lambda: one if (one := gateway()).ready else None)
    assert told.message == "gateway-1 takes orders"
    until(lambda: all(one.ready for one in target.status()))


def test_a_forwarded_port_leads_to_what_is_not_published(scene, first):
    env = {**scene.lab.engine.env, "HFTCTL_HOME": scene.home}
    with forwarded("stack", "redis", env) as port:
        assert said(port, b"PING\r\n", b"\r\n").startswith(b"-NOAUTH")
    with forwarded("stack", "postgres", env) as port:
        startup = struct.pack("!ii", 8, 80877103)  # whether it speaks TLS: N is PostgreSQL's no
        assert said(port, startup, b"N") == b"N"
    with forwarded("stack", "nginx", env) as port:
        assert b'"status"' in said(port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"}")
    until(lambda: scene.lab.engine.docker("ps", "-q", "--filter", "label=hftctl.role=forward").stdout == "")


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
    # A restart of Docker would start what restarts always.
    assert scene.inspect("engine-0")["HostConfig"]["RestartPolicy"]["Name"] == "no"
    scene.hftctl("start", "-p", "stack", "--yes")
    assert scene.inspect("engine-0")["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert scene.hftctl("status", "-p", "stack")["partitions"][0]["engine"]["sequence"] >= before
