"""What would stop a deploy on this cluster, found before anything is written: version, nodes, images, what is there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hftctl.errors import HftctlError
from hftctl.release import Release
from hftctl.targets.base import Finding
from hftctl.targets.compose.images import STACK
from hftctl.targets.kubernetes import names
from hftctl.targets.kubernetes.api import Api

OLDEST = (1, 29)


def findings(api: Api, release: Release) -> list[Finding]:
    return [*_version(api), *_nodes(api), *_there(api, release), *_images(release)]


def _version(api: Api) -> Iterator[Finding]:
    told = api.version()
    said = f"Kubernetes {told.get('gitVersion', '')} at {api.server}"
    numbers = tuple(int("".join(c for c in str(told.get(key, "0")) if c.isdigit()) or 0) for key in ("major", "minor"))
    if numbers < OLDEST:
        yield Finding(
            "problem",
            "cluster",
            f"{said} is too old: {OLDEST[0]}.{OLDEST[1]} or newer is needed",
            "upgrade the cluster",
        )
    else:
        yield Finding("ok", "cluster", said)


def _nodes(api: Api) -> Iterator[Finding]:
    try:
        nodes = api.list("Node")
    except HftctlError:
        return  # a role of one namespace sees none
    ready = [node for node in nodes if _ready(node) and not node["spec"].get("unschedulable")]
    if not ready:
        yield Finding(
            "problem",
            "nodes",
            f"none of the {len(nodes)} nodes is ready",
            "kubectl get nodes; kubectl describe node NAME",
        )
    else:
        yield Finding("ok", "nodes", f"{len(ready)} of {len(nodes)} nodes are ready")


def _ready(node: Mapping[str, Any]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", []))


def _there(api: Api, release: Release) -> Iterator[Finding]:
    namespace = names.namespace(release.deployment)
    found = api.get("Namespace", namespace)
    if found is None:
        return
    if found["status"].get("phase") == "Terminating":
        yield Finding(
            "problem",
            "namespace",
            f"the namespace {namespace} is being deleted",
            f"kubectl wait --for=delete ns/{namespace}",
        )
        return
    foreign = [
        f"{kind} {one['metadata']['name']}"
        for kind in names.WORKLOADS
        for one in api.list(kind, namespace)
        if one["metadata"].get("labels", {}).get(names.DEPLOYMENT) != release.deployment
    ]
    if foreign:
        yield Finding("problem", "namespace", f"{namespace} holds what is not ours: {', '.join(foreign)}",
                      "take another name: --name NAME; or take it away: kubectl delete")  # fmt: skip


def _images(release: Release) -> Iterator[Finding]:
    """Of images that come from the Docker engine: whether they are there. What a registry has, only a kubelet can tell."""
    if not release.profile["kubernetes"]["shares_docker"]:
        return
    from hftctl.targets.compose import building, daemon

    api = daemon.connect()
    for part, reference in release.artifacts.items():
        if building.present(api, reference) is not None:
            yield Finding("ok", f"image {part}", f"{reference} is there")
        else:
            fix = "hftctl build --only images" if part == STACK else f"docker pull {reference}"
            yield Finding(
                "problem", f"image {part}", f"the image {reference} is not on the Docker engine of this cluster", fix
            )
