"""In a container that has no rights over the kernel there are plans, and a sentence that says why there is nothing else.

For real: a container of runc, with users of its own and this machine's programs read-only; and the bare namespaces that
rootless tools make. Neither leaves a mark that says what it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.machine_state import snapshot

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare"),
]
ROOT = Path(__file__).parents[2]
NAMESPACES = ("user", "pid", "mount", "network", "uts", "ipc", "cgroup")
FIRST_USER, USERS = 100_000, 65_536
PROGRAMS = ("usr", "bin", "sbin", "lib", "lib64", "etc")


def rootless(*words: str) -> subprocess.CompletedProcess[str]:
    """Root of a user namespace, as rootless tools make it: no right over the kernel is left."""
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "--net",
        "--ipc",
        "--uts",
    ]
    return ran([*command, sys.executable, "-m", "hftctl", "tune", *words])


def contained(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    bundle = folder / "bundle"
    root = bundle / "rootfs"
    root.mkdir(parents=True, exist_ok=True)
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    ]
    for path in (Path("/", name) for name in PROGRAMS):
        if path.is_symlink():
            if not (root / path.name).is_symlink():
                (root / path.name).symlink_to(path.readlink())
        elif path.is_dir():
            mounts.append(_bound(path))
    mounts += [_bound(Path(path)) for path in (sys.base_prefix, sys.prefix, ROOT)]  # may be below what is only root's
    mapping = [{"containerID": 0, "hostID": FIRST_USER, "size": USERS}]
    rights = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_NET_ADMIN"]  # over what is the container's own
    environment = [f"PATH={os.environ['PATH']}", "HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1"]
    asked = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "cwd": str(ROOT), "env": environment,
            "args": [sys.executable, "-m", "hftctl", "tune", *words],
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), rights),
        },
        "root": {"path": "rootfs"}, "hostname": "boxed", "mounts": mounts,
        "linux": {"namespaces": [{"type": one} for one in NAMESPACES], "uidMappings": mapping, "gidMappings": mapping},
    }  # fmt: skip
    (bundle / "config.json").write_text(json.dumps(asked))
    for path in (folder, bundle, root):
        path.chmod(0o755)
    os.chown(root, FIRST_USER, FIRST_USER)
    return ran(["runc", "--root", str(folder / "state"), "run", "--bundle", str(bundle), f"hftctl-lab-{os.getpid()}"])


def _bound(path: Path) -> dict[str, object]:
    return {"destination": str(path), "type": "bind", "source": str(path), "options": ["rbind", "ro"]}


def ran(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(params=["namespaces", "runc"])
def inside(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "namespaces":
        return rootless
    if shutil.which("runc") is None:
        pytest.skip("runc is not installed: apt install runc")
    for folder in (*tmp_path.parents[:3], tmp_path):  # the container's users are others here
        if folder.is_relative_to("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)
    return lambda *words: contained(tmp_path, *words)


def test_there_are_plans_only_and_it_says_why(inside) -> None:
    before = snapshot()
    planned = inside("plan", "latency", "-o", "json")
    assert planned.returncode == 3, planned.stderr + planned.stdout
    assert json.loads(planned.stdout)["refused"][0] == "plan-only"
    shown = inside("show")
    assert shown.returncode == 0, shown.stderr
    assert "no: this is a container (" in shown.stdout
    for words in (("apply", "latency", "--yes"), ("apply", "latency", "--force", "plan-only", "--yes")):
        refused = inside(*words)
        assert refused.returncode == 7, refused.stderr
        assert "this is a container (" in refused.stderr
        assert "the kernel belongs to the host [plan-only]" in refused.stderr
        assert "hint: apply it on the host itself" in refused.stderr
        assert "Traceback" not in refused.stderr
    reverted = inside("revert", "--yes")
    assert reverted.returncode == 0
    assert "nothing of hftctl stands on this host" in reverted.stdout + reverted.stderr
    assert snapshot() == before
