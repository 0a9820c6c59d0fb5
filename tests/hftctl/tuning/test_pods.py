"""Pods that would get CPUs of their own, and pods that would not: each reason by a manifest that has it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from hftctl.errors import UsageError
from hftctl.operations.tune_pods import PodReport, examine_pods
from hftctl.tuning.pods import quantity
from tests.hftctl.tuning.driving import apply
from tests.hftctl.tuning.machines import machine
from tests.hftctl.tuning.trees import Machine, build

POD = """apiVersion: v1
kind: Pod
metadata: {name: engine}
spec:
  containers:
  - name: engine
    resources:
      limits: {cpu: 4, memory: 8Gi}
"""
DEPLOYMENT = """# a comment first
---
apiVersion: v1
kind: Service
metadata: {name: engine}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: engine}
spec:
  template:
    spec:
      containers:
      - name: engine
        resources: {limits: {cpu: "4", memory: 8Gi}, requests: {cpu: 4000m, memory: 8192Mi}}
      - name: log
        resources: {limits: {cpu: 250m, memory: 64Mi}}
"""
CRON = """kind: CronJob
metadata: {name: day}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: close, resources: {limits: {cpu: 2, memory: 1Gi}}}]}}}}}
"""


def one(tmp_path: Path, text: str, root: Path | None = None) -> PodReport:
    file = tmp_path / "pod.yaml"
    file.write_text(text)
    host = root or build(tmp_path / "plain", Machine())
    [report] = examine_pods(host, [file]).pods
    return report


@pytest.mark.parametrize(("text", "cpus"), [(POD, 4), (DEPLOYMENT, 4), (CRON, 2)])
def test_whole_cpus_in_a_guaranteed_pod_are_its_own(tmp_path: Path, text: str, cpus: int) -> None:
    report = one(tmp_path, text)
    assert (report.verdict.cpus, report.good, report.verdict.advice) == (cpus, True, ())


def test_where_it_stands_and_what_it_is_called(tmp_path: Path) -> None:
    report = one(tmp_path, DEPLOYMENT)
    assert (report.where.rpartition(":")[2], report.name) == ("7", "Deployment engine")
    assert [(each.container, each.cpus) for each in report.verdict.verdicts] == [("engine", 4), ("log", 0)]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("limits: {cpu: 4, memory: 8Gi}", "limits: {cpu: 4}", "'engine': it has no memory limit"),
        ("limits: {cpu: 4, memory: 8Gi}", "requests: {cpu: 4, memory: 8Gi}", "'engine': it has no cpu limit"),
        ("cpu: 4, memory: 8Gi}", "cpu: 4, memory: 8Gi}\n      requests: {cpu: 2}", "it requests 2 of cpu and is limited to 4"),
        ("cpu: 4,", "cpu: 3500m,", "cpu 3500m is no whole number of CPUs: it shares; ask for 4"),
        ("cpu: 4,", "cpu: four,", "its cpu limit 'four' is no quantity"),
        ("spec:\n", "spec:\n  resources: {limits: {cpu: 4, memory: 8Gi}}\n", "resources of the pod as a whole get no CPU"),
        ("spec:\n", "spec:\n  initContainers: [{name: warm, resources: {}}]\n", "'warm': it has no cpu limit"),
    ],
)  # fmt: skip
def test_why_it_shares_instead(tmp_path: Path, old: str, new: str, why: str) -> None:
    assert old in POD
    report = one(tmp_path, POD.replace(old, new, 1))
    assert not report.good
    assert any(why in verdict.why for verdict in report.verdict.verdicts if not verdict.meant)
    assert report.verdict.cpus == 0


def test_what_disturbs_it_or_does_nothing_is_told(tmp_path: Path) -> None:
    text = POD.replace("memory: 8Gi}", "memory: 8Gi, hugepages-2Mi: 1Gi}\n    livenessProbe: {exec: {command: [ok]}}")
    text = text.replace(
        "{name: engine}",
        '{name: engine, annotations: {cpu-quota.crio.io: "disable", irq-load-balancing.crio.io: "true"}}',
    )
    report = one(tmp_path, text)
    assert report.good, "they do not take its CPUs away"
    said = " | ".join(report.verdict.advice)
    assert "cpu-quota.crio.io does nothing without a runtimeClassName" in said
    assert "irq-load-balancing.crio.io: 'true' does nothing" in said
    assert "no volume of them (emptyDir with medium: HugePages)" in said
    assert "the livenessProbe of 'engine' starts a program on the container's own CPUs" in said


def test_a_node_has_its_say(tmp_path: Path) -> None:
    node = machine(tmp_path, "kubernetes-node")
    assert "cpuManagerPolicy is none" in one(tmp_path, POD, node).against[0]
    apply(node, "kubernetes-node")
    assert one(tmp_path, POD, node).good
    pages = POD.replace("memory: 8Gi", "memory: 8Gi, hugepages-2Mi: 4Gi")
    assert one(tmp_path, pages, node).against == (
        "it asks for 4096 MiB in huge pages of 2Mi, and 2048 MiB are reserved here",
    )
    large = one(tmp_path, POD.replace("cpu: 4", "cpu: 26"), node).against
    assert large[0] == "it asks for 26 CPUs, and pods have 24 here"
    assert "TopologyAffinityError" in large[1]
    config = node / "var/lib/kubelet/config.yaml"
    config.write_text(config.read_text() + 'cpuManagerPolicyOptions: {full-pcpus-only: "true"}\n')
    assert "whole cores are given, of 2 each" in one(tmp_path, POD.replace("cpu: 4", "cpu: 5"), node).against[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Service\n", "no pod, and nothing that makes one"),
        ("a: [1\n", "pod.yaml:2: not YAML"),
        ("- 1\n", "pod.yaml:1: no Kubernetes object"),
    ],
)
def test_what_is_no_pod_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        one(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1500m", Fraction(3, 2)), (2, 2), ("2.", 2), (".5", Fraction(1, 2)), ("1e3", 1000), ("1Gi", 1 << 30), ("x", None), (True, None)],
)  # fmt: skip
def test_quantities(text: object, number: object) -> None:
    assert quantity(text) == number
