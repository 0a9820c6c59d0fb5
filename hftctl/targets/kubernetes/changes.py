"""Changes to the objects of a subject. Each can be made again after a kill anywhere, and ends the same."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from hftctl.errors import Failed
from hftctl.plan.change import Spec, State
from hftctl.targets.kubernetes import components, lease, names, readiness, standing
from hftctl.targets.kubernetes.api import Api, Object

GONE_S = 120.0  # a pod has a minute to end
POLL_S = 0.2
PRUNED_MIN = 10  # so many may go at once, or half of what there is: more than that is a mistake of ours, or of a label
SCALER = "hftctl-scale"
RESTARTER = "hftctl-restart"  # a manager of its own: what it set stays when the rest is applied again


class Changes:
    """`check` is asked before every write."""

    def __init__(self, api: Api, deployment: str, check: Callable[[], None]) -> None:
        self._api, self._deployment, self._check = api, deployment, check

    @property
    def _namespace(self) -> str:
        return names.namespace(self._deployment)

    def to(self, subject: str, spec: Spec, *, restart: bool) -> None:
        """The workload last: what its pods need is there before them, and only with it does the subject count as made."""
        *before, last = components.rendered(subject, spec, self._deployment)
        if names.kind(subject) == names.BASE:
            before, last = _with_carrier_last([*before, last])
        for one in before:
            self._check()
            self._api.apply(one)
        last["metadata"].setdefault("annotations", {})[names.SPEC] = json.dumps(spec, separators=(",", ":"))
        if last["kind"] == "Job":
            last["metadata"]["annotations"][names.DATABASE] = standing.database(self._api, self._deployment)
            self._make_room(subject, last, restart)
        if last["kind"] == "Deployment" and "replicas" not in last["spec"]:
            self._hand_over(subject)
        self._check()
        made = self._api.apply(last)
        if restart and last["kind"] in ("Deployment", "StatefulSet"):
            self._restart(made)

    def _make_room(self, subject: str, wanted: Object, restart: bool) -> None:
        """A Job runs once: for anything else there has to be another one."""
        there = self._api.get("Job", subject, self._namespace)
        if there is None:
            return
        same = all(
            there["metadata"].get("annotations", {}).get(one) == wanted["metadata"]["annotations"][one]
            for one in (names.SPEC, names.DATABASE)
        )
        failed = readiness.job(subject, there).answer == "failed"
        if restart or failed or not same or there["metadata"].get("deletionTimestamp"):
            self._delete(there)
            self._wait_gone("Job", subject, there["metadata"]["uid"])

    def _hand_over(self, subject: str) -> None:
        """To an autoscaler: a number that we alone had set would fall back to one when we set it no more."""
        there = self._api.get("Deployment", subject, self._namespace)
        owners = [one for one in (there or {"metadata": {}})["metadata"].get("managedFields", [])
                  if "f:replicas" in one.get("fieldsV1", {}).get("f:spec", {})]  # fmt: skip
        if there is not None and {one["manager"] for one in owners} == {names.MANAGER}:
            self._check()
            self._api.patch(there, {"spec": {"replicas": there["spec"]["replicas"]}}, manager=SCALER)

    def _restart(self, made: Object) -> None:
        annotations = {names.RESTARTED: lease.now()}
        self._check()
        self._api.patch(made, {"spec": {"template": {"metadata": {"annotations": annotations}}}}, manager=RESTARTER)

    def away(self, subject: str) -> None:
        """The workload first, then what it needed. Its volumes stay."""
        selector = names.selector(self._deployment, subject)
        for kind in (*names.WORKLOADS, *reversed(names.PRUNED)):
            for one in self._api.list(kind, self._namespace, selector):
                self._delete(one)
                if kind in names.WORKLOADS:
                    self._wait_gone(kind, one["metadata"]["name"], one["metadata"]["uid"])

    def stop(self, subject: str) -> None:
        """Its pods end; what is beside them stays."""
        for kind in ("StatefulSet", "Deployment"):
            there = self._api.get(kind, subject, self._namespace)
            if there is not None:
                self._delete(there)
                self._wait_gone(kind, subject, there["metadata"]["uid"])

    def prune(self, wanted: State) -> None:
        """What nobody has any more and nobody `wanted`: settings of releases before. Never a volume, a secret or a workload."""
        seen = standing.Standing(self._api, self._deployment)
        kept = {
            (one["kind"], one["metadata"]["name"])
            for state in (seen.specs(), wanted)
            for subject, spec in state.items()
            for one in components.rendered(subject, spec, self._deployment)
        }
        ours = [
            one for (kind, _), one in seen.there.items()
            if kind in names.PRUNED and names.COMPONENT in one["metadata"]["labels"]
        ]  # fmt: skip
        unwanted = [one for one in ours if (one["kind"], one["metadata"]["name"]) not in kept]
        if len(unwanted) > max(PRUNED_MIN, len(ours) // 2):
            listed = ", ".join(names.title(one) for one in unwanted[:3])
            raise Failed(
                f"{len(unwanted)} of {len(ours)} objects in {self._namespace} would be deleted ({listed}, ...): more than a release "
                "leaves behind",
                hint=f"look at them: kubectl get configmap,service,networkpolicy,pdb -n {self._namespace} -L {names.COMPONENT}",
            )
        for one in unwanted:
            self._delete(one)

    def _delete(self, one: Object) -> None:
        self._check()
        self._api.delete(one)

    def _wait_gone(self, kind: str, name: str, uid: str) -> None:
        deadline = time.monotonic() + GONE_S
        while (there := self._api.get(kind, name, self._namespace)) is not None and there["metadata"]["uid"] == uid:
            if time.monotonic() > deadline:
                raise Failed(f"{kind} {name} does not end: it was deleted {GONE_S:.0f} s ago and is still there",
                             hint=f"kubectl get pods -n {self._namespace}")  # fmt: skip
            time.sleep(POLL_S)


def _with_carrier_last(made: list[Object]) -> tuple[list[Object], Object]:
    carrier = next(one for one in made if one["kind"] == "ServiceAccount")
    return [one for one in made if one is not carrier], carrier
