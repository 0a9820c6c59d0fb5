"""The lab itself: quick when it stands, whole again after a death, and nothing left when it is down."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.cluster import cluster as lab
from tests.lab.cluster.fixture import Cluster
from tests.lab.cluster.kubectl import until
from tests.lab.cluster.layout import CGROUP, HOST_LINK, ROOT, STATE

AGAIN_S = 20.0
POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec: {{containers: [{{name: a, image: "{image}", command: [sleep, "100000"]}}]}}
"""
SPREAD = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - {{name: web, image: "{image}", command: [sh, -c, "mkdir /www && exec httpd -f -p 8080 -h /www"]}}
"""


@pytest.fixture
def ours(cluster: Cluster) -> Cluster:
    if not cluster.ours:
        pytest.skip("nobody breaks a cluster that is not ours")
    return cluster


def command(*words: str, expect: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", "tests.lab.cluster", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def pids() -> dict[tuple[str, str], int | None]:
    return {(part.node, part.name): part.pid for part in lab.status()}


def test_up_again_starts_nothing_and_is_quick(ours: Cluster) -> None:
    before, began = pids(), time.monotonic()
    assert command("up") == f"KUBECONFIG={ours.kubeconfig}\n"
    assert time.monotonic() - began < AGAIN_S
    assert pids() == before
    assert all(before.values())


def test_up_brings_back_what_was_killed_and_leaves_the_rest(ours: Cluster) -> None:
    before = pids()
    killed = ("kube-apiserver", "kubelet", "containerd")
    for name in killed:
        lab.kill(1, name)
    assert "kube-apiserver           does not run" in command("status", expect=9)
    command("up")
    after = pids()
    assert {key for key in before if after[key] != before[key]} == {("node-1", name) for name in killed}
    _runs_a_pod(ours)


def test_up_brings_back_a_machine_that_lost_its_power(ours: Cluster) -> None:
    with ours.namespace() as name:
        ours.kubectl("create", "configmap", "kept", "-n", name, "--from-literal=key=value")
        lab.kill(1, "space")
        command("up")
        assert ours.kubectl.get("configmap", "kept", "-n", name)["data"] == {"key": "value"}
    _runs_a_pod(ours)


def _runs_a_pod(ours: Cluster) -> None:
    with ours.namespace() as name:
        ours.kubectl("create", "-n", name, "-f", "-", given=POD.format(name="here", image=ours.busybox))
        ours.kubectl("wait", "--for=condition=Ready", "pod/here", "-n", name, "--timeout=60s")


@pytest.mark.long
def test_up_that_was_killed_again_and_again_comes_up(ours: Cluster) -> None:
    command("down")
    for seconds in (1.5, 4, 8, 14, 22):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.lab.cluster", "up"], cwd=ROOT, stdout=subprocess.DEVNULL
        ) as up:
            time.sleep(seconds)
            up.kill()
    command("up")
    assert all(pids().values())
    _runs_a_pod(ours)


def test_nodes_of_kwok_take_pods_that_mean_them(ours: Cluster) -> None:
    command("up", "--kwok", "6")
    nodes = until(
        lambda: [one for one in ours.kubectl.get("nodes", "-l", "type=kwok")["items"] if _ready(one)][5:], 60,
        lambda: "six nodes of kwok are ready",
    )  # fmt: skip
    assert nodes
    command("up", "--kwok", "0")
    assert ours.kubectl.get("nodes", "-l", "type=kwok")["items"] == []


def _ready(node: dict) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", []))


def test_another_machine_joins_and_pods_reach_each_other_over_both(ours: Cluster) -> None:
    before = pids()
    command("up", "--nodes", "2")
    assert {key: pids()[key] for key in before} == before
    with ours.namespace() as name:
        ours.kubectl.apply(SPREAD.format(image=ours.busybox), "-n", name)
        ours.kubectl("rollout", "status", "daemonset/web", "-n", name, "--timeout=60s")
        pods = {pod["spec"]["nodeName"]: pod for pod in ours.kubectl.get("pods", "-n", name, "-l", "app=web")["items"]}
        assert set(pods) == {"node-1", "node-2"}
        for here, there in (("node-1", "node-2"), ("node-2", "node-1")):
            script = f"wget -qO- -T 5 http://{pods[there]['status']['podIP']}:8080/ready"
            ours.kubectl(
                "exec", "-n", name, pods[there]["metadata"]["name"], "--", "sh", "-c", f"echo {there} > /www/ready"
            )
            said = ours.kubectl("exec", "-n", name, pods[here]["metadata"]["name"], "--", "sh", "-c", script).stdout
            assert said.strip() == there
            assert "kube-dns" in ours.kubectl("exec", "-n", name, pods[here]["metadata"]["name"], "--", "nslookup",
                                              "kube-dns.kube-system.svc.cluster.local").stdout  # fmt: skip


def test_down_leaves_nothing_and_up_makes_another(ours: Cluster) -> None:
    identity = _identity(ours)
    running = [pid for pid in pids().values() if pid]
    command("down")
    assert command("status", expect=13) == "there is no cluster\n"
    assert not STATE.exists()
    assert not Path("/sys/class/net", HOST_LINK).exists()
    assert [pid for pid in running if Path(f"/proc/{pid}").exists()] == []
    assert [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(STATE) in line] == []
    assert [tree for tree in Path("/sys/fs/cgroup").iterdir() if (tree / CGROUP).exists() or tree.name == CGROUP] == []
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    assert HOST_LINK not in routes
    command("up")
    assert _identity(ours) != identity
    _runs_a_pod(ours)


def _identity(ours: Cluster) -> str:
    uid: str = ours.kubectl.get("namespace", "kube-system")["metadata"]["uid"]
    return uid
