"""The whole stack on a real cluster: up and proved, looked at, changed, taken back, and gone."""

import json
import subprocess
import sys
import time

import pytest
import yaml

from hftctl.targets.kubernetes.driver import KubernetesTarget
from tests.lab.kubernetes.scene import ROOT, Scene

SUBJECTS = ["postgres-0", "redis", "engine-0", "gateway", "persister-0", "nginx"]


@pytest.fixture(scope="module")
def scene(lab, tmp_path_factory):
    scene = Scene(lab, tmp_path_factory.mktemp("stack"), "stack")
    yield scene
    scene.hftctl("destroy", "-p", "stack", "--data", "--yes", expect=(0, 13))


@pytest.fixture(scope="module")
def first(scene):
    """The first deploy's result."""
    return scene.deploy()


def test_a_deploy_is_ready_and_proved_by_an_order(first):
    assert first["result"] == "ready"
    assert first["proofs"][0]["order"]["status"] == "filled"


def test_a_deploy_without_a_change_changes_nothing(scene, first):
    again = scene.deploy()
    assert again["result"] == "unchanged"
    assert again["revision"] == first["revision"]


def test_status_tells_every_component_and_its_engine(scene, first):
    status = scene.hftctl("status", "-p", "stack")
    assert status["state"] == "ready", status
    assert [one["component"] for one in status["components"]] == SUBJECTS
    assert status["partitions"][0]["engine"]["implementation"] == "cython"


def test_no_pod_was_refused_or_warned_of_by_pod_security(scene, first):
    pods = scene.get("pods")["items"]
    assert len(pods) == len(SUBJECTS) + 2  # two gateways, and the migrations
    done = scene.lab.cluster.kubectl("label", "--dry-run=server", "--overwrite", "namespace", scene.namespace,
                                     "pod-security.kubernetes.io/enforce=restricted")  # fmt: skip
    assert "Warning" not in done.stderr


def test_policies_keep_strangers_from_the_engine_and_let_gateways_in(scene, first):
    reach = "import socket; socket.create_connection(('engine-0', 50050), 3).close(); print('reached')"
    python = ["/opt/hftctl/bin/python", "-c", reach]
    inside = scene.lab.cluster.kubectl("exec", "-n", scene.namespace, "deploy/gateway", "--", *python)
    assert inside.stdout.strip() == "reached"
    address = scene.get("service", "engine-0")["spec"]["clusterIP"]
    stranger = f"import socket; socket.create_connection(('{address}', 50050), 3)"
    with scene.lab.cluster.namespace() as namespace:
        image = scene.get("statefulset", "engine-0")["spec"]["template"]["spec"]["containers"][0]["image"]
        done = scene.lab.cluster.kubectl(
            "run", "stranger", "-n", namespace, f"--image={image}", "--restart=Never", "--rm", "-i", "--command", "--",
            "/opt/hftctl/bin/python", "-c", stranger, check=False,
        )  # fmt: skip
    assert done.returncode
    assert "timed out" in done.stdout + done.stderr or "refused" in done.stdout + done.stderr


def test_orders_go_on_while_gateways_and_the_engine_are_replaced(scene, first):
    load = subprocess.Popen(
        scene.argv("load", "-p", "stack", "--clients", "4", "--duration", "25s", "--rate", "50", "--i-mean", "stack"),
        env=scene.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(3)
    changed = scene.deploy("log_level: debug\n")
    told, said = load.communicate(timeout=120)
    assert changed["result"] == "ready"
    assert changed["revision"] == first["revision"] + 1
    assert load.returncode == 0, said
    assert json.loads(told)["errors"] == {}, told


def test_a_rollback_leads_back(scene, first):
    back = scene.hftctl("rollback", str(first["revision"]), "-p", "stack", "--yes")
    assert back["result"] == "ready"
    assert back["release"] == first["release"]


def test_an_image_that_nobody_has_is_named_and_taken_back(scene, first):
    before = KubernetesTarget("stack").observe()
    started = time.monotonic()
    bad = scene.deploy("", "--tag", "nobody-has-it", expect=(1,))
    assert "nobody-has-it" in bad["message"], bad["message"]
    assert bad["rollout"]["result"] == "reverted"
    assert KubernetesTarget("stack").observe() == before
    assert time.monotonic() - started < 90


def test_what_kubectl_changed_is_drift_with_its_owner_and_a_conflict(scene, first):
    kubectl = scene.lab.cluster.kubectl
    kubectl(
        "set", "resources", "-n", scene.namespace, "deployment/nginx", "--limits=memory=256Mi", "--field-manager=ana"
    )
    drift = scene.hftctl("drift", "-p", "stack", expect=(3,))
    [found] = [one for one in drift["findings"] if one["what"] == "setting"]
    assert found["subject"] == "nginx"
    assert "128Mi" in found["message"]
    assert "256Mi" in found["message"]
    assert "ana" in found["message"]
    refused = scene.hftctl("start", "-p", "stack", "--yes", expect=(1, 4))
    assert "ana" in refused["message"]
    kubectl(
        "set", "resources", "-n", scene.namespace, "deployment/nginx", "--limits=memory=128Mi", "--field-manager=ana"
    )
    assert scene.hftctl("drift", "-p", "stack")["findings"] == []


def test_scaling_changes_the_gateways_alone(scene, first):
    engine = scene.get("pod", "engine-0-0")["metadata"]["uid"]
    assert scene.hftctl("scale", "gateway=3", "-p", "stack", "--yes")["result"] == "ready"
    assert scene.get("deployment", "gateway")["status"]["readyReplicas"] == 3
    assert scene.get("pod", "engine-0-0")["metadata"]["uid"] == engine


def test_halt_and_resume_reach_the_engine(scene, first):
    assert scene.hftctl("halt", "-p", "stack", "--why", "a test", "--yes")["partitions"][0]["done"]
    assert scene.hftctl("resume", "-p", "stack", "--why", "the test is over", "--yes")["partitions"][0]["done"]


def test_a_pipeline_does_with_the_rights_that_doctor_prints(scene, first, tmp_path):
    kubectl = scene.lab.cluster.kubectl
    said = subprocess.run([sys.executable, "-P", "-m", "hftctl", "doctor", str(scene.want()), "--print-rbac"], cwd=ROOT,
                          env=scene.env, capture_output=True, text=True, check=True).stdout  # fmt: skip
    kubectl("apply", "-f", "-", given=said)
    kubectl("create", "serviceaccount", "pipeline", "-n", scene.namespace)
    account = f"--serviceaccount={scene.namespace}:pipeline"
    kubectl("create", "rolebinding", "hftctl-ci", "-n", scene.namespace, "--role=hftctl-ci", account)
    name = f"hftctl-ci-{scene.namespace}"
    kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", account)
    token = kubectl("create", "token", "pipeline", "-n", scene.namespace).stdout.strip()
    config = yaml.safe_load(scene.lab.cluster.kubeconfig.read_text())
    config["users"] = [{"name": one["name"], "user": {"token": token}} for one in config["users"]]
    kubeconfig = tmp_path / "pipeline.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    try:
        changed = scene.deploy("accounts: [demo, alice, bob, carol]\n", KUBECONFIG=str(kubeconfig))
        assert changed["result"] == "ready"
        assert scene.hftctl("status", "-p", "stack", KUBECONFIG=str(kubeconfig))["state"] == "ready"
        refused = kubectl(
            "auth", "can-i", "delete", "nodes", f"--as=system:serviceaccount:{scene.namespace}:pipeline", check=False
        )
        assert refused.stdout.strip() == "no"
    finally:
        kubectl("delete", "clusterrolebinding", name)
        kubectl("delete", "clusterrole", name)


def test_a_context_that_was_switched_is_refused(scene, first, tmp_path):
    pin = scene.lab.home / "clusters" / "stack.json"
    kept = pin.read_text()
    pin.write_text(json.dumps({**json.loads(kept), "uid": "00000000-0000-0000-0000-000000000000"}))
    try:
        refused = scene.hftctl("status", "-p", "stack", expect=(7,))
    finally:
        pin.write_text(kept)
    assert "stands on another cluster" in refused["message"]


def test_after_a_stop_a_start_brings_everything_back_with_its_orders(scene, first):
    assert scene.hftctl("stop", "-p", "stack", "--yes")["result"] == "stopped"
    assert scene.get("pods", "-l", "hftctl.io/kind!=schema")["items"] == []
    assert scene.hftctl("start", "-p", "stack", "--yes")["result"] == "ready"


def test_a_destroy_with_its_data_leaves_nothing(scene, first):
    assert scene.hftctl("destroy", "-p", "stack", "--data", "--yes")["result"] == "destroyed"
    assert scene.lab.cluster.kubectl("get", "namespace", scene.namespace, check=False).returncode
    left = scene.lab.cluster.kubectl.get("priorityclass", "-l", "hftctl.io/component=namespace")
    assert left["items"] == []
