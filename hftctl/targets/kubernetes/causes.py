"""Why a pod does not work, told from its own status: the first of these that is true is the cause. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from hftctl.plan.actuator import Answer, Readiness
from hftctl.targets.kubernetes import names
from hftctl.targets.local import exits

Pod = Mapping[str, Any]
Words = Callable[[Pod, str], str]  # last lines of the container's process that ended; empty where there are none

# What the kubelet says while it waits. These do not end by waiting.
FOR_GOOD = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "RunContainerError")
IMAGE = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable")
CRASHES_MAX = 2  # of one container: what dies again at once does so for a reason
UNSCHEDULABLE_S = 20.0  # a scaler of nodes may make room, and says so in minutes; a timeout of the rollout is for that
OURS = ("engine", "gateway", "persister")


def judge(
    subject: str, pods: Sequence[Pod], events: Sequence[Mapping[str, Any]], words: Words, counted: Readiness
) -> Readiness:
    """Of a subject that is not ready: what its newest pods say, else what was counted. A cause that waiting does not mend wins."""
    found = [answer for pod in pods for answer in _pod(subject, pod, events, words)]
    for answer in found:
        if answer.answer is Answer.FAILED:
            return answer
    if found:
        return found[0]
    if refused := _refused(events):
        return Readiness(Answer.FAILED, f"{subject}: its pods cannot be made: {refused}")
    return counted if pods else Readiness(Answer.WAITING, f"{subject} waits for its pods to be made")


def _pod(subject: str, pod: Pod, events: Sequence[Mapping[str, Any]], words: Words) -> Iterator[Readiness]:
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    for one in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        yield from _container(subject, pod, one, events, words)
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            said = f"{subject} cannot be scheduled: {condition.get('message', '')}"
            waited = time.time() - seconds(condition.get("lastTransitionTime"))
            yield Readiness(Answer.FAILED if waited > UNSCHEDULABLE_S else Answer.WAITING, said)
    if status.get("phase") == "Failed" and not status.get("containerStatuses"):
        yield Readiness(
            Answer.WAITING, f"{subject}: the pod {name} was ended: {status.get('message') or status.get('reason')}"
        )
    if not status.get("containerStatuses"):
        trouble = _event(events, name, ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"))
        yield Readiness(Answer.WAITING, f"{subject} is being made{f': {trouble}' if trouble else ''}")


def _container(
    subject: str, pod: Pod, one: Mapping[str, Any], events: Sequence[Mapping[str, Any]], words: Words
) -> Iterator[Readiness]:
    state, name = one.get("state", {}), pod["metadata"]["name"]
    waiting = state.get("waiting", {})
    reason, said = waiting.get("reason", ""), waiting.get("message", "")
    if reason in IMAGE:
        # Of the events that say so the one with the reason; the others only say that there is one.
        why = (
            _event([one for one in events if "ull image" in one.get("message", "")], name, ("Failed",))
            or said
            or reason
        )
        # Asked once, a registry may have been busy; the kubelet says BackOff when it has asked again.
        final = reason != "ErrImagePull" or not _passing(why)
        answer = Answer.FAILED if final else Answer.WAITING
        yield Readiness(answer, f"{subject}: its image {one['image']} cannot be had: {why}")
    elif reason in FOR_GOOD:
        yield Readiness(Answer.FAILED, f"{subject} cannot be started: {reason}: {said}")
    ended = state.get("terminated") or one.get("lastState", {}).get("terminated")
    if ended and not one.get("ready"):
        yield from _ended(subject, pod, one, ended, waiting.get("reason", ""), words)
    elif reason:
        trouble = _event(events, name, ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"))
        yield Readiness(Answer.WAITING, f"{subject} is being made{f': {trouble}' if trouble else ''}")
    elif "running" in state and not one.get("ready"):
        probe = _event(events, name, ("Unhealthy",))
        said = _probed(subject, probe) if probe else f"{subject} is starting"
        replaying = re.search(r"replaying (\d+) of", said)
        yield Readiness(Answer.WAITING, said, int(replaying[1]) if replaying else 0)


def _ended(
    subject: str, pod: Pod, one: Mapping[str, Any], ended: Mapping[str, Any], waits: str, words: Words
) -> Iterator[Readiness]:
    code, deaths = int(ended.get("exitCode", 0)), int(one.get("restartCount", 0))
    kind = names.kind(subject)
    if kind == "schema" and code == 0:
        return
    said = words(pod, one["name"])
    told = f"; it said: {said}" if said else ""
    if ended.get("reason") == "OOMKilled":
        limits: Mapping[str, Any] = next(
            (c.get("resources", {}).get("limits", {}) for c in pod["spec"]["containers"] if c["name"] == one["name"]),
            {},
        )
        yield Readiness(
            Answer.FAILED, f"{subject} was killed for its memory: its limit is {limits.get('memory')}{told}"
        )
    elif kind in OURS and code in (exits.ENGINE if kind == "engine" else exits.SERVICE):
        yield Readiness(Answer.FAILED, f"{subject} ended for good with exit status {code}{told}")
    elif waits == "CrashLoopBackOff" or deaths >= CRASHES_MAX:
        yield Readiness(Answer.FAILED, f"{subject} dies again and again: exit status {code}{told}")
    else:
        yield Readiness(Answer.WAITING, f"{subject} ended with exit status {code} and is started again{told}")


def _probed(subject: str, said: str) -> str:
    """Our own probe's sentence without what the kubelet puts in front."""
    sentence = said.partition("probe failed:")[2].strip()
    if not sentence:
        return f"{subject} is starting"  # a probe that says nothing
    sentence = sentence.splitlines()[-1]
    return sentence if sentence.startswith(subject) else f"{subject} is not ready: {sentence}"


def _passing(said: str) -> bool:
    return any(word in said.lower() for word in ("timeout", "connection re", "too many requests", "eof", "unavailable"))


def _refused(events: Sequence[Mapping[str, Any]]) -> str:
    """By a quota, by admission: who makes the pods says so in an event of his own."""
    last = newest(one for one in events if one.get("reason") == "FailedCreate")
    return str(last.get("message", "")) if last else ""


def _event(events: Sequence[Mapping[str, Any]], pod: str, reasons: Sequence[str]) -> str:
    last = newest(one for one in events if one.get("reason") in reasons and one["involvedObject"].get("name") == pod)
    return str(last.get("message", "")).strip() if last else ""


def newest(events: Iterator[Mapping[str, Any]]) -> Mapping[str, Any]:
    return max(events, key=moment, default={})


def moment(event: Mapping[str, Any]) -> float:
    series = event.get("series") or {}
    return seconds(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
                   or event["metadata"].get("creationTimestamp"))  # fmt: skip


def seconds(text: Any) -> float:
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() if text else 0.0
