"""What a release wants on a cluster: one spec per subject, in order of dependency. Pure.

A spec is plain JSON: `manifests` (the overlay's objects of this subject), and what the profile says in typed fields: `image`, `settings` or
`files` (lists of lines), `replicas`, and how its pods are `replaced`. `rendered` puts them together.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hftctl.plan.change import Spec
from hftctl.release import Release
from hftctl.targets.compose import services as docker
from hftctl.targets.compose.images import STACK
from hftctl.targets.kubernetes import manifests, names, services
from hftctl.targets.kubernetes.manifests import Manifest

KINDS = (names.BASE, "postgres", "redis", "engine", "schema", "gateway", "persister", "nginx")
OURS = ("engine", "schema", "gateway", "persister")
START_FIRST, STOP_FIRST = "start-first", "stop-first"


def desired(release: Release) -> dict[str, Spec]:
    overlay = release.profile["kubernetes"]["overlay"]
    return {
        subject: {**fields, "manifests": manifests.of(overlay, subject, release.deployment)}
        for subject, fields in typed(release)
    }


def typed(release: Release) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of each subject what the profile says."""
    profile = release.profile
    partitions = range(len(profile["partitions"]))
    yield names.BASE, {}
    yield _typed(release, "postgres-0", files=_lines(docker.postgres_files(profile, 0)))
    yield _typed(release, "redis", files=_lines(docker.redis_files(profile)))
    for number in partitions:
        yield _typed(release, f"engine-{number}", settings=services.engine(release, number))
    yield _typed(release, "schema-0", settings=docker.schema(), schema=release.migrations)
    few, many = profile["gateways"], profile["kubernetes"]["gateways_max"]
    counts = {"replicas": few} | ({"replicas_max": max(few, many)} if many else {})
    yield _typed(release, "gateway", settings=services.gateway(release), **counts, replaced=START_FIRST)
    for number in partitions:
        yield _typed(release, f"persister-{number}", settings=services.persister(release, number))
    yield _typed(release, "nginx", files={"nginx.conf": services.nginx(profile)}, replaced=START_FIRST)


def _lines(files: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: content.splitlines() for name, content in files.items()}


def _typed(release: Release, subject: str, *, replaced: str = STOP_FIRST, **more: Any) -> tuple[str, dict[str, Any]]:
    kind = names.kind(subject)
    return subject, {**more, "image": release.artifacts[STACK if kind in OURS else kind], "replaced": replaced}


def rendered(subject: str, spec: Spec, deployment: str) -> list[Manifest]:
    """The objects of a subject as they are applied, its workload last."""
    made: list[Manifest] = copy.deepcopy(list(spec["manifests"]))
    work = manifests.workload(made)
    if work is None:
        return made
    config = manifests.config_map(subject, deployment, files(subject, spec))
    pod = manifests.pod(work)
    for container in pod["containers"]:
        container["image"] = spec["image"]
    for volume in pod["volumes"]:
        if volume["name"] == "config":
            volume["configMap"]["name"] = config["metadata"]["name"]
    if "replicas" in spec:
        _count(made, work, spec)
    return [config, *made]


def _count(made: Iterable[Manifest], work: Manifest, spec: Spec) -> None:
    """Where there is an autoscaler the number is its own, between two."""
    scaler = next((one for one in made if one["kind"] == "HorizontalPodAutoscaler"), None)
    if scaler is None:
        work["spec"]["replicas"] = spec["replicas"]
    else:
        scaler["spec"] |= {"minReplicas": spec["replicas"], "maxReplicas": spec.get("replicas_max", spec["replicas"])}


def files(subject: str, spec: Spec) -> dict[str, str]:
    plain = {name: "\n".join(lines) + "\n" for name, lines in spec.get("files", {}).items()}
    if "settings" in spec:
        plain[f"{subject}.json"] = json.dumps(spec["settings"], indent=1) + "\n"
    return plain


def order(subjects: Iterable[str]) -> list[str]:
    def key(subject: str) -> tuple[int, int]:
        kind = names.kind(subject)
        return KINDS.index(kind) if kind in KINDS else len(KINDS), names.number(subject) if kind != subject else 0

    return sorted(subjects, key=key)
