"""What controllers, pods and events say, told as one of three answers. Documents as an API server gives them."""

import time
from datetime import UTC, datetime

import pytest

from hftctl.plan.actuator import Answer
from hftctl.targets.kubernetes import causes, readiness


def ago(seconds):
    return datetime.fromtimestamp(time.time() - seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def deployment(*, wanted=2, generation=2, **status):
    return {
        "kind": "Deployment",
        "metadata": {"generation": generation},
        "spec": {"replicas": wanted},
        "status": status,
    }


def counted(**status):
    return readiness.deployment_("gateway", deployment(**status))


def test_a_deployment_is_ready_when_all_are_new_and_nobody_of_before_is_left():
    ready = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    assert counted(**ready).answer is Answer.READY
    assert counted(**{**ready, "observedGeneration": 1}).answer is Answer.WAITING
    assert counted(**{**ready, "updatedReplicas": 1}).message == "gateway: 1 of 2 ready"
    leaving = counted(**{**ready, "replicas": 3})
    assert (leaving.answer, leaving.message) == (Answer.WAITING, "gateway: 1 of those before still leave")


def test_pods_that_a_quota_refuses_are_never_made():
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "message": 'pods "gateway-x" is forbidden: exceeded quota: small',
    }
    answer = counted(observedGeneration=2, conditions=[condition])
    assert answer.answer is Answer.FAILED
    assert "exceeded quota: small" in answer.message


def stateful(**status):
    work = {"kind": "StatefulSet", "metadata": {"generation": 1}, "spec": {"replicas": 1}, "status": status}
    return readiness.stateful_set("engine-0", work)


def test_a_stateful_set_is_not_ready_while_its_old_pod_is():
    ready = {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "a"}
    assert stateful(**ready).answer is Answer.READY
    assert stateful(**{**ready, "updateRevision": "b"}).answer is Answer.WAITING
    assert stateful(**{**ready, "updateRevision": "b", "updatedReplicas": 1}).answer is Answer.READY


@pytest.mark.parametrize(
    ("type_", "answer"), [("Complete", Answer.READY), ("Failed", Answer.FAILED), ("Suspended", Answer.WAITING)]
)
def test_a_job_is_done_when_it_is_complete(type_, answer):
    status = {"conditions": [{"type": type_, "status": "True", "message": "x"}]}
    assert readiness.job("schema-0", {"status": status}).answer is answer


def pod(container=None, **status):
    containers = (
        [{"name": "engine", "image": "hftctl/stack:none", "restartCount": 0, "ready": False, **container}]
        if container
        else []
    )
    return {
        "metadata": {"name": "engine-0-0", "namespace": "hftctl-x"},
        "spec": {"containers": [{"name": "engine", "resources": {"limits": {"memory": "1Gi"}}}]},
        "status": {"containerStatuses": containers, **status},
    }


def event(reason, message, name="engine-0-0", seconds=1):
    return {
        "reason": reason,
        "message": message,
        "lastTimestamp": ago(seconds),
        "involvedObject": {"name": name},
        "metadata": {},
    }


COUNTED = readiness.Readiness(Answer.WAITING, "engine-0: 0 of 1 ready")


def judge(one, *events, said=""):
    return causes.judge("engine-0", [one] if one else [], events, lambda _pod, _container: said, COUNTED)


def test_an_image_that_nobody_has_fails_at_once_and_is_named():
    waiting = {"state": {"waiting": {"reason": "ErrImagePull", "message": "pull failed"}}}
    events = [
        event("Failed", 'Failed to pull image "hftctl/stack:none": not found', seconds=2),
        event("Failed", "Error: ErrImagePull"),
    ]
    answer = judge(pod(waiting), *events)
    assert answer.answer is Answer.FAILED
    assert "hftctl/stack:none" in answer.message
    assert "not found" in answer.message


def test_a_registry_that_is_busy_is_asked_twice():
    waiting = {"state": {"waiting": {"reason": "ErrImagePull", "message": "i/o timeout"}}}
    assert judge(pod(waiting)).answer is Answer.WAITING
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}}
    assert judge(pod(waiting)).answer is Answer.FAILED


def test_a_crash_loop_says_the_exit_status_and_the_last_words():
    crash = {
        "restartCount": 1,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
    }
    answer = judge(pod(crash), said="error cannot start: no such file")
    assert answer == readiness.Readiness(
        Answer.FAILED, "engine-0 dies again and again: exit status 1; it said: error cannot start: no such file"
    )


def test_one_crash_may_be_an_accident():
    crash = {"restartCount": 0, "state": {"terminated": {"exitCode": 137, "reason": "Error"}}}
    assert judge(pod(crash)).answer is Answer.WAITING


def test_a_damaged_journal_is_no_accident():
    crash = {"restartCount": 0, "state": {"terminated": {"exitCode": 10, "reason": "Error"}}}
    answer = judge(pod(crash), said="journal is damaged")
    assert answer.answer is Answer.FAILED
    assert "ended for good with exit status 10" in answer.message


def test_who_was_killed_for_its_memory_is_told_its_limit():
    crash = {"restartCount": 0, "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    assert "its limit is 1Gi" in judge(pod(crash)).message


def test_a_node_may_still_make_room_but_not_for_ever():
    def unscheduled(seconds):
        message = "0/1 nodes are available: 1 Insufficient cpu."
        condition = {"type": "PodScheduled", "status": "False", "message": message, "lastTransitionTime": ago(seconds)}
        return judge(pod(conditions=[condition]))

    assert unscheduled(1).answer is Answer.WAITING
    assert unscheduled(60) == readiness.Readiness(
        Answer.FAILED, "engine-0 cannot be scheduled: 0/1 nodes are available: 1 Insufficient cpu."
    )


def test_a_probe_that_fails_says_what_it_said():
    running = {"state": {"running": {"startedAt": ago(5)}}}
    answer = judge(
        pod(running), event("Unhealthy", "Startup probe failed: engine-0 is replaying 5 of 9 commands of its journal\n")
    )
    assert answer.answer is Answer.WAITING
    assert answer.message == "engine-0 is replaying 5 of 9 commands of its journal"


def test_the_newest_event_counts():
    running = {"state": {"running": {"startedAt": ago(5)}}}
    events = [
        event("Unhealthy", "Readiness probe failed: old", seconds=9),
        event("Unhealthy", "Readiness probe failed: new", seconds=2),
    ]
    assert judge(pod(running), *events).message == "engine-0 is not ready: new"


def test_a_stateful_set_whose_pod_is_refused_says_so_in_an_event():
    answer = judge(None, event("FailedCreate", "create Pod engine-0-0 failed: exceeded quota: small", name="engine-0"))
    assert answer.answer is Answer.FAILED
    assert "exceeded quota: small" in answer.message


def test_a_pod_that_says_nothing_is_counted():
    assert judge(pod({"state": {"terminated": {"exitCode": 0}}, "ready": True})) is COUNTED
    running = {"state": {"running": {"startedAt": ago(5)}}}
    assert judge(pod(running), event("Unhealthy", "Startup probe failed: ")).message == "engine-0 is starting"
