"""Whether a subject's pods do their work yet, as their controllers count them; and if not, why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hftctl.errors import HftctlError
from hftctl.plan.actuator import Answer, Readiness
from hftctl.targets.kubernetes import causes, names
from hftctl.targets.kubernetes.api import Api, Object
from hftctl.targets.local import log_stream

SHOWN_LINES = 3
KUBELETS_OWN = b"unable to retrieve container logs"  # in the place of a log that is gone already


def of(api: Api, deployment: str, subject: str, work: Object) -> Readiness:
    counted = {"Job": job, "StatefulSet": stateful_set}.get(work["kind"], deployment_)(subject, work)
    unseen = work.get("status", {}).get("observedGeneration", 0) < work["metadata"].get("generation", 0)
    if counted.answer is not Answer.WAITING or (unseen and work["kind"] != "Job"):
        return counted  # what its pods say is of the template before
    namespace = names.namespace(deployment)
    pods = newest(work, api.list("Pod", namespace, names.selector(deployment, subject)))
    if all(is_ready(pod) for pod in pods) and pods:
        return counted
    events = [one for one in api.list("Event", namespace) if _of(one, subject, work)]
    waited_for = [pod for pod in pods if not is_ready(pod)]
    return causes.judge(subject, waited_for, events, lambda pod, container: last_words(api, pod, container), counted)


def _of(event: Mapping[str, Any], subject: str, work: Object) -> bool:
    about = event["involvedObject"]
    name, since = str(about.get("name", "")), causes.seconds(work["metadata"]["creationTimestamp"])
    return (name == subject or name.startswith(f"{subject}-")) and causes.moment(event) >= since


# what a controller counts; pure


def deployment_(subject: str, work: Object) -> Readiness:
    status, wanted = work.get("status", {}), int(work["spec"].get("replicas", 1))
    if status.get("observedGeneration", 0) < work["metadata"]["generation"]:
        return Readiness(Answer.WAITING, f"{subject} was not seen by its controller yet")
    for condition in status.get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return Readiness(Answer.FAILED, f"{subject}: its pods cannot be made: {condition.get('message')}")
    updated, total, available = (
        int(status.get(key, 0)) for key in ("updatedReplicas", "replicas", "availableReplicas")
    )
    if updated == wanted and total == wanted and available == wanted:
        return Readiness(Answer.READY, _count(subject, available, wanted))
    if updated == wanted and available == wanted:
        return Readiness(Answer.WAITING, f"{subject}: {total - wanted} of those before still leave")
    return Readiness(Answer.WAITING, _count(subject, min(updated, available), wanted))


def stateful_set(subject: str, work: Object) -> Readiness:
    status, wanted = work.get("status", {}), int(work["spec"].get("replicas", 1))
    if status.get("observedGeneration", 0) < work["metadata"]["generation"]:
        return Readiness(Answer.WAITING, f"{subject} was not seen by its controller yet")
    new = status.get("updateRevision") == status.get("currentRevision") or status.get("updatedReplicas", 0) >= wanted
    ready = int(status.get("readyReplicas", 0))
    if new and ready == wanted and int(status.get("replicas", 0)) == wanted:
        return Readiness(Answer.READY, _count(subject, ready, wanted))
    return Readiness(Answer.WAITING, _count(subject, ready if new else 0, wanted))


def job(subject: str, work: Object) -> Readiness:
    for condition in work.get("status", {}).get("conditions", []):
        if condition["status"] != "True":
            continue
        if condition["type"] == "Complete":
            return Readiness(Answer.READY, "the schema has everything that its release brings")
        if condition["type"] == "Failed":
            return Readiness(Answer.FAILED, f"{subject}: the migrations failed: {condition.get('message')}")
    return Readiness(Answer.WAITING, "the schema is being brought up to date")


def _count(subject: str, ready: int, wanted: int) -> str:
    return (
        f"{subject}: {ready} of {wanted} ready" if wanted != 1 else f"{subject} is {'ready' if ready else 'starting'}"
    )


# pods


def newest(work: Object, pods: Sequence[Object]) -> list[Object]:
    """Those of the newest template, which are not on their way out."""
    there = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    if work["kind"] == "StatefulSet":
        wanted = work.get("status", {}).get("updateRevision", "")
        return [pod for pod in there if pod["metadata"]["labels"].get("controller-revision-hash") == wanted]
    if work["kind"] == "Deployment" and there:
        last = max(there, key=lambda pod: causes.seconds(pod["metadata"]["creationTimestamp"]))
        template = last["metadata"]["labels"].get("pod-template-hash")
        return [pod for pod in there if pod["metadata"]["labels"].get("pod-template-hash") == template]
    return there


def is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def last_words(api: Api, pod: Mapping[str, Any], container: str) -> str:
    """Each line once, without its time. Of the process that ended; where it is gone already, of the one that runs."""
    meta = pod["metadata"]
    for previous in (True, False):
        try:
            lines = list(api.logs(meta["name"], meta["namespace"], tail=4 * SHOWN_LINES, previous=previous))
        except (HftctlError, OSError):
            continue
        said = [line.decode(errors="replace") for line in lines if not line.startswith(KUBELETS_OWN)]
        shown = [log_stream.parse(line.partition(" ")[2])[1] for line in said]
        kept = [one.splitlines()[-1] for one in shown if one.strip()]
        if kept:
            return " | ".join(list(dict.fromkeys(kept))[-SHOWN_LINES:])
    return ""
