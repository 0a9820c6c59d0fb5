"""That what is said to write nothing is found out when it does: the trace that test_tune.py judges by sees an apply."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hftctl.tuning.machines import SMALL
from tests.hftctl.tuning.trees import build, snapshot
from tests.lab.test_tune import HARMLESS, ROOT, WRITES

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("strace"), reason="needs strace"),
]
POD = "kind: Pod\nspec: {containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}]}\n"


def written(tmp_path: Path, *words: str) -> list[str]:
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=%file,fchmod,fchown", "-o", str(trace)]
    command += [sys.executable, "-m", "hftctl", "tune", *words]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode in {0, 3}, done.stderr
    calls = trace.read_text().splitlines()
    assert len(calls) > 500
    return [line for line in calls if WRITES.search(line) and not HARMLESS.search(line)]


def test_an_apply_is_seen_by_the_trace_and_a_plan_of_the_same_host_is_not(tmp_path: Path) -> None:
    root = build(tmp_path / "host", SMALL)
    before = snapshot(root)
    bound = ("latency-extreme", "--bind", "ens2f0", "--force", "kubelet-running", "--root", str(root))
    assert written(tmp_path, "plan", *bound) == []
    assert snapshot(root) == before
    seen = written(tmp_path, "apply", *bound, "--yes")
    for place in ("driver_override", "cpuset.cpus.partition", "99-zzz-hftctl.conf", "rmem_max"):
        assert any(place in line for line in seen), f"the trace does not see {place} being written"


def test_pods_are_looked_at_only(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(POD)
    assert written(tmp_path, "pods", str(tmp_path / "pod.yaml")) == []
