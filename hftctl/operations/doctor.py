"""What stands between this machine and a deployment: the machine itself, and what the target finds before a deploy."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from hftctl import paths
from hftctl.errors import HftctlError, UsageError
from hftctl.operations import host_contract, machine
from hftctl.operations.deploy import make_release
from hftctl.operations.standing import open_target
from hftctl.run import run
from hftctl.targets.base import Finding

PROBE_TIMEOUT_S = 20.0


def examine(profile: Mapping[str, Any]) -> Iterator[Finding]:
    """`profile`: resolved; its ports are those that are looked at."""
    yield from machine.findings(paths.home())
    yield user_namespace()
    yield from host_contract.findings(profile)
    release = make_release(profile)
    for finding in open_target(release.target, release.deployment).preflight(release):
        if finding.subject != "disk":  # said above, against the recommendation
            yield finding
    kubectl = shutil.which("kubectl") or "not installed"
    yield Finding("ok", "kubectl", f"{kubectl}; only hftctl exec on the target kubernetes needs it")


def rights(profile: Mapping[str, Any]) -> str:
    """Of Kubernetes, as YAML: what a pipeline needs for this profile's deployment, and nothing else."""
    if profile["target"] != "kubernetes":
        raise UsageError(
            f"--print-rbac is of the target kubernetes, and profile {profile['name']} is for {profile['target']}",
            hint="hftctl doctor orbstack --print-rbac",
        )
    text = (paths.package_folder("stack") / "manifests" / "rbac" / "ci.yaml").read_text()
    return text.replace("hftctl-NAME", f"hftctl-{profile['name']}")


def user_namespace() -> Finding:
    """PostgreSQL refuses to run as root; there it gets a user namespace of its own. Tried in a process of its own."""
    if sys.platform != "linux":
        return Finding("ok", "namespaces", "not needed on this system")
    probe = "from hftctl.targets.local.userns import enter; print(enter())"
    try:
        way = run([sys.executable, "-c", probe], timeout_s=PROBE_TIMEOUT_S).stdout.strip()
    except HftctlError as error:
        message = f"PostgreSQL cannot run as this user: {error.message.splitlines()[-1]}"
        fix = "run as an ordinary user with an entry in /etc/passwd, or: sysctl -w user.max_user_namespaces=10000"
        return Finding("problem", "namespaces", message, fix)
    said = {
        "plain": "not needed: we are an ordinary user",
        "namespace": "PostgreSQL runs in a user namespace of one uid",
        "nobody": "no user namespaces here: PostgreSQL runs as nobody",
    }
    return Finding("ok", "namespaces", said.get(way, way))
