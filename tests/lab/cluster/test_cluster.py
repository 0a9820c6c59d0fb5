"""The cluster is a real one: what controllers, scheduler, kubelet and admission do for anybody, they do here."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.lab.cluster.build import RELEASE
from tests.lab.cluster.fixture import Cluster
from tests.lab.cluster.kubectl import until

SERVED = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: {image}
          command: [sh, -c, "mkdir /www && hostname > /www/index.html && exec httpd -f -p 8080 -h /www"]
          readinessProbe: {{httpGet: {{port: 8080, path: /index.html}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}], type: {type}}}
"""
KEPT = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: kept}}
spec:
  serviceName: kept
  replicas: 1
  selector: {{matchLabels: {{app: kept}}}}
  template:
    metadata: {{labels: {{app: kept}}}}
    spec:
      terminationGracePeriodSeconds: 0
      securityContext: {{runAsUser: 1000, runAsNonRoot: true, fsGroup: 1000, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
        - name: kept
          image: {image}
          command: [sh, -c, "echo $(hostname) $(date +%s%N) >> /data/starts && exec sleep 100000"]
          securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
          volumeMounts: [{{name: data, mountPath: /data}}]
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 10Gi}}}}}}
"""
ROOT_POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: root}}
spec: {{containers: [{{name: a, image: "{image}"}}]}}
"""
DENIED = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {may: "yes"}}}]}]
"""


@pytest.fixture(scope="module")
def namespace(cluster: Cluster):
    with cluster.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def web(cluster: Cluster, namespace: str) -> str:
    """A Deployment of two behind a Service of type LoadBalancer."""
    cluster.kubectl.apply(SERVED.format(image=cluster.busybox, type="LoadBalancer"), "-n", namespace)
    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=120s")
    return "web"


def asked(cluster: Cluster, namespace: str, url: str, *labels: str) -> subprocess.CompletedProcess[str]:
    """A pod of its own that asks once."""
    name = f"ask-{abs(hash((url, labels))) % 10**8}"
    words = [
        "run",
        name,
        "-n",
        namespace,
        f"--image={cluster.busybox}",
        "--restart=Never",
        "--attach",
        "--rm",
        "--quiet",
    ]
    words += [f"--labels={','.join(labels)}"] if labels else []
    return cluster.kubectl(*words, "--", "wget", "-qO-", "-T", "5", url, check=False)


def test_the_release_is_the_one_of_the_modules(cluster: Cluster) -> None:
    if not cluster.ours:
        pytest.skip("another cluster has another release")
    versions = json.loads(cluster.kubectl("version", "-o", "json").stdout)
    assert versions["serverVersion"]["gitVersion"] == versions["clientVersion"]["gitVersion"] == RELEASE
    node = cluster.kubectl.get("nodes")["items"][0]["status"]["nodeInfo"]
    assert node["kubeletVersion"] == RELEASE
    assert node["containerRuntimeVersion"].startswith("containerd://")


def test_a_deployment_of_two_is_ready_and_its_service_answers_by_name(
    cluster: Cluster, namespace: str, web: str
) -> None:
    status = cluster.kubectl.get("deployment", web, "-n", namespace)["status"]
    assert (status["readyReplicas"], status["updatedReplicas"]) == (2, 2)
    pods = {pod["metadata"]["name"] for pod in cluster.kubectl.get("pods", "-n", namespace, "-l", "app=web")["items"]}
    answer = asked(cluster, namespace, f"http://{web}.{namespace}.svc.cluster.local/index.html")
    assert answer.stdout.strip() in pods, answer.stderr


def test_the_addresses_of_a_service_answer_this_machine(cluster: Cluster, namespace: str, web: str) -> None:
    if not cluster.ours:
        pytest.skip("whether another cluster's addresses can be reached from here is its own affair")

    def address() -> str:
        found = cluster.kubectl.get("service", web, "-n", namespace)
        ingress = found["status"]["loadBalancer"].get("ingress", [])
        return ingress[0]["ip"] if ingress else ""

    until(address, 90, lambda: "the service has an address of the load balancer")
    service = cluster.kubectl.get("service", web, "-n", namespace)["spec"]
    pods = {pod["metadata"]["name"] for pod in cluster.kubectl.get("pods", "-n", namespace, "-l", "app=web")["items"]}
    for host in (address(), service["clusterIP"], f"node-1:{service['ports'][0]['nodePort']}"):
        url = f"http://{host.replace('node-1', '10.197.0.11')}/index.html"
        got = subprocess.run(["curl", "-sS", "--noproxy", "*", "-m", "10", url], capture_output=True, text=True)
        assert got.stdout.strip() in pods, f"{url}: {got.stderr}"


def test_a_policy_lets_through_whom_it_names_and_nobody_else(cluster: Cluster, namespace: str, web: str) -> None:
    if not cluster.ours:
        pytest.skip("another cluster may have nobody who enforces policies")
    url = f"http://{web}/index.html"
    assert asked(cluster, namespace, url).returncode == 0
    cluster.kubectl.apply(DENIED, "-n", namespace)
    try:
        until(lambda: asked(cluster, namespace, url).returncode, 60, lambda: "the policy stops who is not named in it")
        allowed = asked(cluster, namespace, url, "may=yes")
        assert allowed.returncode == 0, allowed.stderr
    finally:
        cluster.kubectl("delete", "networkpolicy", "web", "-n", namespace)


def test_what_another_manager_owns_is_a_conflict(cluster: Cluster, namespace: str) -> None:
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned"}, "data": {"key": "one"}}
    words = ("apply", "--server-side", "-n", namespace, "-f", "-")
    cluster.kubectl(*words, "--field-manager=first", given=json.dumps(mine))
    refused = cluster.kubectl(
        *words, "--field-manager=second", "-v=8", given=json.dumps({**mine, "data": {"key": "two"}}), check=False
    )
    assert refused.returncode != 0
    assert 'conflict with "first": .data.key' in refused.stderr
    assert "409" in refused.stderr
    assert cluster.kubectl.get("configmap", "owned", "-n", namespace)["data"] == {"key": "one"}


def test_a_restricted_namespace_refuses_a_pod_that_may_be_root(cluster: Cluster) -> None:
    with cluster.namespace(policy="restricted") as name:
        refused = cluster.kubectl(
            "create", "-n", name, "-f", "-", given=ROOT_POD.format(image=cluster.busybox), check=False
        )
        assert refused.returncode != 0
        assert 'violates PodSecurity "restricted' in refused.stderr
        assert "runAsNonRoot" in refused.stderr


def test_a_claim_keeps_its_files_over_a_restart_and_its_pod_needs_no_root(cluster: Cluster) -> None:
    with cluster.namespace(policy="restricted") as name:
        cluster.kubectl.apply(KEPT.format(image=cluster.busybox), "-n", name)
        cluster.kubectl("rollout", "status", "statefulset/kept", "-n", name, "--timeout=120s")
        cluster.kubectl("rollout", "restart", "statefulset/kept", "-n", name)
        cluster.kubectl("rollout", "status", "statefulset/kept", "-n", name, "--timeout=120s")
        starts = cluster.kubectl("exec", "kept-0", "-n", name, "--", "cat", "/data/starts").stdout.split()
        assert starts[::2] == ["kept-0", "kept-0"]
        assert starts[1] < starts[3]
        claim = cluster.kubectl.get("persistentvolumeclaim", "data-kept-0", "-n", name)
        assert claim["status"]["phase"] == "Bound"


def test_what_pods_use_is_measured(cluster: Cluster) -> None:
    if not cluster.ours:
        pytest.skip("another cluster may have no metrics")
    told = until(lambda: cluster.kubectl("top", "pods", "-n", "kube-system", "--no-headers", check=False).stdout, 90,
                 lambda: "kubectl top tells of pods")  # fmt: skip
    assert "coredns" in told
