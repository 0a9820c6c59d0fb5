"""Which deployments stand on a cluster. Those that this machine has worked on are known without asking; others are asked for by name."""

from __future__ import annotations

import os
from pathlib import Path

from hftctl.errors import HftctlError
from hftctl.targets.kubernetes import names


def known() -> list[str]:
    """Asked for by every command that names none, so no cluster is asked."""
    from hftctl.targets.kubernetes import cluster

    return cluster.pinned()


def stands(name: str) -> bool:
    """Whether the cluster of the current context has it. No cluster, no deployment: whoever needs one is told why by what he does next."""
    return _has(name, names.JOURNAL)


def kept(name: str) -> bool:
    """Whether only its data is left there."""
    return not stands(name) and _has(name, names.CREDENTIALS)


def _has(name: str, record: str) -> bool:
    if not (os.environ.get("KUBECONFIG") or (Path.home() / ".kube" / "config").exists()):
        return False
    from hftctl.targets.kubernetes import cluster

    try:
        return cluster.connect()[0].get("Secret", record, names.namespace(name)) is not None
    except HftctlError:
        return False
