"""What stands on the cluster, read from objects and their annotations. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hftctl.plan.actuator import Answer
from hftctl.plan.change import Spec, State
from hftctl.targets.base import ComponentStatus
from hftctl.targets.differing import EDITED
from hftctl.targets.kubernetes import causes, components, names, readiness
from hftctl.targets.kubernetes.api import Api, Object
from hftctl.targets.kubernetes.manifests import differing

CARRIERS = ("ServiceAccount", *names.WORKLOADS)  # the object of a subject that carries its spec
DATABASE_VOLUME = "data-postgres-0-0"


class Standing:
    """All objects of a deployment as they are at one moment."""

    def __init__(self, api: Api, deployment: str) -> None:
        self.deployment = deployment
        namespace, selector = names.namespace(deployment), names.selector(deployment)
        self.there: dict[tuple[str, str], Object] = {}
        space = api.get("Namespace", namespace)
        if space is None:
            return
        self.there["Namespace", namespace] = space
        for kind in ("ServiceAccount", *names.PRUNED, *names.WORKLOADS):
            for one in api.list(kind, namespace, selector):
                self.there[kind, one["metadata"]["name"]] = one
        for one in api.list("PriorityClass", "", f"{names.COMPONENT}={names.BASE}"):
            self.there["PriorityClass", one["metadata"]["name"]] = one

    def carriers(self) -> dict[str, Object]:
        """Subject -> the object that says what it was made from."""
        found = {}
        for (kind, _), one in self.there.items():
            meta = one["metadata"]
            if kind in CARRIERS and names.SPEC in meta.get("annotations", {}) and not meta.get("deletionTimestamp"):
                found[meta["labels"][names.COMPONENT]] = one
        return {subject: found[subject] for subject in components.order(found)}

    def specs(self) -> dict[str, Spec]:
        return {
            subject: json.loads(one["metadata"]["annotations"][names.SPEC]) for subject, one in self.carriers().items()
        }

    def edited(self, subject: str, spec: Spec) -> list[str]:
        """What of the subject's objects is not as it was applied: `Service nginx spec.type`."""
        found = []
        for wanted in components.rendered(subject, spec, self.deployment):
            live = self.there.get((wanted["kind"], wanted["metadata"]["name"]))
            if live is None:
                found.append(f"{names.title(wanted)} is gone")
            else:
                found += [f"{names.title(wanted)} {path}" for path in differing(wanted, live)]
        return found


def observe(api: Api, deployment: str) -> State:
    """What is there, with the spec it was made from. What was taken away by hand is marked, so that a plan mends it."""
    standing = Standing(api, deployment)
    carriers, specs = standing.carriers(), standing.specs()
    found: dict[str, Spec] = {}
    for subject, spec in specs.items():
        if names.kind(subject) == "schema" and not migrated(api, deployment, carriers[subject]):
            continue
        edited = standing.edited(subject, spec)
        found[subject] = {**spec, EDITED: edited} if edited else spec
    return found


def migrated(api: Api, deployment: str, job: Object) -> bool:
    """Whether these migrations ended well, on the volume that is there now."""
    done = readiness.job("schema-0", job).answer is Answer.READY
    return done and job["metadata"]["annotations"].get(names.DATABASE) == database(api, deployment)


def database(api: Api, deployment: str) -> str:
    """The uid of the volume of PostgreSQL; empty where there is none."""
    found = api.get("PersistentVolumeClaim", DATABASE_VOLUME, names.namespace(deployment))
    return str(found["metadata"]["uid"]) if found is not None else ""


def status(api: Api, deployment: str) -> list[ComponentStatus]:
    standing = Standing(api, deployment)
    pods = api.list("Pod", names.namespace(deployment), names.selector(deployment)) if standing.there else []
    return [
        _status(api, deployment, subject, work, pods)
        for subject, work in standing.carriers().items()
        if work["kind"] in ("StatefulSet", "Deployment")
    ]


def _status(api: Api, deployment: str, subject: str, work: Object, pods: Sequence[Object]) -> ComponentStatus:
    own = [pod for pod in pods if pod["metadata"]["labels"].get(names.COMPONENT) == subject]
    answer = readiness.of(api, deployment, subject, work)
    containers = [one for pod in own for one in pod.get("status", {}).get("containerStatuses", [])]
    running = [one for one in containers if "running" in one.get("state", {})]
    state = "running" if running else "failed" if answer.answer is Answer.FAILED else "restarting" if own else "missing"
    started = [causes.seconds(one["state"]["running"].get("startedAt")) for one in running]
    return ComponentStatus(
        component=subject,
        state=state,
        ready=answer.answer is Answer.READY,
        message=_where(answer.message, own),
        started_ns=int(min(started) * 1e9) if started else None,
        restarts=sum(int(one.get("restartCount", 0)) for one in containers),
    )


def _where(message: str, pods: Sequence[Mapping[str, Any]]) -> str:
    nodes = sorted({str(pod["spec"]["nodeName"]) for pod in pods if pod["spec"].get("nodeName")})
    return f"{message}; on {', '.join(nodes)}" if nodes else message
