"""What everything of a deployment is called on a cluster, and the labels by which it is found again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MANAGER = "hftctl"  # of the fields that we set

DEPLOYMENT = "hftctl.io/deployment"
COMPONENT = "hftctl.io/component"  # the subject an object belongs to
KIND = "hftctl.io/kind"
SPEC = "hftctl.io/spec"  # annotation of a subject's last object: what all of them were made from, JSON
DATABASE = "hftctl.io/database"  # annotation of the migrations: uid of the volume that they migrated
RESTARTED = "hftctl.io/restarted"  # annotation of a pod's template: changes when it shall be started anew
REVISION_NUMBER = "hftctl.io/revision"  # labels of a record
PIECE, PIECES = "hftctl.io/piece", "hftctl.io/pieces"
WHY = "hftctl.io/why"  # annotation of a lock

LOCK, JOURNAL, RELEASE, NOTES = "lock", "journal", "release", "notes"
CREDENTIALS, KEYS, REVISION = "credentials", "keys", "revision"
BASE = "namespace"  # the subject of what all components share


class Path(NamedTuple):
    group: str  # api/v1, apis/apps/v1
    plural: str
    namespaced: bool = True


PATHS = {
    "Namespace": Path("api/v1", "namespaces", False),
    "Node": Path("api/v1", "nodes", False),
    "ServiceAccount": Path("api/v1", "serviceaccounts"),
    "ConfigMap": Path("api/v1", "configmaps"),
    "Secret": Path("api/v1", "secrets"),
    "Service": Path("api/v1", "services"),
    "Pod": Path("api/v1", "pods"),
    "Event": Path("api/v1", "events"),
    "PersistentVolumeClaim": Path("api/v1", "persistentvolumeclaims"),
    "PriorityClass": Path("apis/scheduling.k8s.io/v1", "priorityclasses", False),
    "StatefulSet": Path("apis/apps/v1", "statefulsets"),
    "Deployment": Path("apis/apps/v1", "deployments"),
    "Job": Path("apis/batch/v1", "jobs"),
    "NetworkPolicy": Path("apis/networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": Path("apis/policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": Path("apis/autoscaling/v2", "horizontalpodautoscalers"),
    "Lease": Path("apis/coordination.k8s.io/v1", "leases"),
}
WORKLOADS = ("StatefulSet", "Deployment", "Job")
# Beside workloads; never a volume or a secret.
PRUNED = ("ConfigMap", "Service", "NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler")


def namespace(deployment: str) -> str:
    return f"hftctl-{deployment}"


def kind(subject: str) -> str:
    """`engine-0` is an engine, `redis` is itself."""
    head, _, number = subject.rpartition("-")
    return head if number.isdigit() else subject


def number(subject: str) -> int:
    return int(subject.rpartition("-")[2])


def title(manifest: Mapping[str, Any]) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def labels(deployment: str) -> dict[str, str]:
    """Of records: they belong to no component."""
    return {"app.kubernetes.io/part-of": "hftctl", DEPLOYMENT: deployment}


def selector(deployment: str, subject: str = "") -> str:
    return f"{DEPLOYMENT}={deployment}" + (f",{COMPONENT}={subject}" if subject else "")
