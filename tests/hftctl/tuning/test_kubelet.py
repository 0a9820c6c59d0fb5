"""What becomes of a kubelet's configuration: the keys that are meant, nothing else, and back byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hftctl.tuning.driving import apply, plan, revert
from tests.hftctl.tuning.machines import KUBELET, machine
from tests.hftctl.tuning.trees import snapshot

CONFIG = "var/lib/kubelet/config.yaml"
MEMORY_BYTES = 64 << 30


@pytest.fixture
def node(tmp_path: Path) -> Path:
    return machine(tmp_path, "kubernetes-node")


def config(node: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((node / CONFIG).read_text()))


def test_the_managers_are_static_and_everything_else_stays(node: Path) -> None:
    before, files = config(node), snapshot(node)
    apply(node, "kubernetes-node", only=("kubelet",))
    after = config(node)
    changed = {key: after[key] for key in after if before.get(key) != after[key]}
    assert changed == {
        "cpuManagerPolicy": "static",
        "topologyManagerPolicy": "single-numa-node",
        "memoryManagerPolicy": "Static",
        "reservedSystemCPUs": "0-3,16-19",
        "reservedMemory": [{"numaNode": 0, "limits": {"memory": "1224Mi"}}],
    }
    assert before.keys() <= after.keys()
    assert not (node / "var/lib/kubelet/cpu_manager_state").exists(), (
        "of another policy: with it the kubelet does not start"
    )
    revert(node)
    assert snapshot(node) == files


@pytest.mark.parametrize(
    ("old", "new", "limit"),
    [
        ("  memory.available: 200Mi\n", "  nodefs.available: 10%\n", "1124Mi"),
        ("kubeReserved:\n  cpu: 500m\n  memory: 1Gi\n", 'kubeReserved: {cpu: 500m, memory: "1.5Gi"}\n', "1736Mi"),
        (
            "  memory.available: 200Mi\n",
            '  memory.available: "5%"\n',
            str((1 << 30) + int(0.05000000074505806 * MEMORY_BYTES)),
        ),
        ("evictionHard:", "systemReserved:\n  memory: 512Mi\nevictionHard:", "1736Mi"),
    ],
    ids=["threshold of its own", "one line", "a share", "both reserved"],
)
def test_the_memory_that_is_reserved_is_what_the_kubelet_adds_up(node: Path, old: str, new: str, limit: str) -> None:
    assert old in KUBELET
    (node / CONFIG).write_text(KUBELET.replace(old, new))
    apply(node, "kubernetes-node", only=("kubelet",))
    assert config(node)["reservedMemory"] == [{"numaNode": 0, "limits": {"memory": limit}}]


def test_keys_that_stand_there_with_other_values_are_replaced_whole(node: Path) -> None:
    more = "cpuManagerPolicy: none\nreservedMemory:\n- numaNode: 0\n  limits:\n    memory: 5Gi\ntopologyManagerPolicy: none # why\n"
    (node / CONFIG).write_text(KUBELET + more)
    apply(node, "kubernetes-node", only=("kubelet",))
    found = config(node)
    assert (found["cpuManagerPolicy"], found["topologyManagerPolicy"]) == ("static", "single-numa-node")
    assert found["reservedMemory"] == [{"numaNode": 0, "limits": {"memory": "1224Mi"}}]


def test_one_that_is_written_as_json_is_left_and_the_keys_are_told(node: Path) -> None:
    (node / CONFIG).write_text('{"kind": "KubeletConfiguration"}\n')
    made = plan(node, "kubernetes-node", only=("kubelet",))
    (left,) = [one.why for one in made.wanted.skipped if one.what == "kubelet"]
    assert "put in: cpuManagerPolicy: static, topologyManagerPolicy: single-numa-node" in left
    assert not [one for one in made.plan.pending if one.subject == f"file:/{CONFIG}"]
