"""What a cluster has in kube-system: names, volumes, metrics; and nodes without a machine, when they are asked for."""

from __future__ import annotations

import json
from string import Template
from typing import Any

from tests.lab.cluster import archive
from tests.lab.cluster.kubectl import Kubectl
from tests.lab.cluster.layout import DNS_SERVICE, DOMAIN, HERE

MANIFESTS = HERE / "manifests"
FAKE_NODES, FAKE_PODS = "10.197.2.1", "10.200.0.0/16"
FAKE_TAINT = "kwok.x-k8s.io/node"
ZONES = 3
READY_S = 120


def _filled(name: str) -> str:
    return Template((MANIFESTS / name).read_text()).substitute(
        addons=archive.addons()[0], busybox=archive.busybox()[0], dns=DNS_SERVICE, domain=DOMAIN,
        fake_nodes=FAKE_NODES, fake_pods=FAKE_PODS,
    )  # fmt: skip


def apply(kubectl: Kubectl) -> None:
    kubectl.apply("\n---\n".join(_filled(path.name) for path in sorted(MANIFESTS.glob("[0-9]*.yaml"))))


def wait(kubectl: Kubectl) -> None:
    kubectl("wait", "--for=condition=Available", "deployment", "--all", "-n", "kube-system", f"--timeout={READY_S}s")
    kubectl("wait", "--for=condition=Available", "apiservice", "--all", f"--timeout={READY_S}s")


def fake_nodes(kubectl: Kubectl, wanted: int) -> None:
    """As many nodes of kwok as are wanted; their taint keeps away whoever does not mean them."""
    there = len(kubectl.get("nodes", "-l", "type=kwok")["items"])
    if wanted == there == 0:
        return
    kubectl.apply(_filled("kwok.yaml"))
    nodes = [_fake_node(number) for number in range(wanted)]
    if nodes:
        kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
    if there > wanted:
        kubectl("delete", "node", *(f"fake-{number:03}" for number in range(wanted, there)))


def _fake_node(number: int) -> dict[str, Any]:
    name = f"fake-{number:03}"
    capacity = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "type": "kwok",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/region": "lab",
                "topology.kubernetes.io/zone": f"lab-{'abc'[number % ZONES]}",
            },
        },
        "spec": {"taints": [{"key": FAKE_TAINT, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"allocatable": capacity, "capacity": capacity},
    }
