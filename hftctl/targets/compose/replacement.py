"""One change of one subject, so that it can be made again from wherever a kill left it.

A gateway is replaced start-first: the new one waits beside the one that serves until every engine is connected, takes its socket
over in one step, and only then the old one is asked to end. Everything else stops first, and how long it was away is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from hftctl.errors import Failed
from hftctl.plan.actuator import Answer, Readiness
from hftctl.plan.change import Change, Op, Spec
from hftctl.targets.compose import components, names, readiness
from hftctl.targets.compose.containers import LIVING, STARTED, Containers, Found
from hftctl.targets.differing import EDITED

POLL_S = 0.1


class Replacement:
    def __init__(
        self,
        containers: Containers,
        deployment: str,
        *,
        check: Callable[[], None],
        ready: Callable[[Found], Readiness],
        labels: Callable[[str], Mapping[str, str]],
        timeout_s: float,
    ) -> None:
        self._containers, self._deployment = containers, deployment
        self._check, self._ready, self._labels = check, ready, labels
        self._timeout_s = timeout_s
        self.stopped_s: dict[str, float] = {}  # subject -> when the one before was asked to end

    def to(self, change: Change, spec: Spec) -> None:
        """Until a container with this spec has been started, and has its place."""
        subject = change.subject
        self._check()
        serving, begun = self._settle(subject)
        wanted = components.digest(spec)
        # One whose files a person edited may have read them at a start since.
        anew = change.op is Op.RESTART or EDITED in (change.before or {})
        if serving is not None and serving.labels[names.DIGEST] == wanted and not anew:
            if begun is not None:
                self._containers.take_away(begun.id)
            self._bring_up(serving)
            return
        if spec.get("replaced") == components.START_FIRST and serving is not None and serving.state in STARTED:
            self._start_first(subject, spec, serving, begun)
        else:
            self._stop_first(subject, spec, serving, begun)

    def settle_all(self) -> None:
        """End what a kill left half replaced: who has the place keeps it. A canary that was stopped is of no use to anybody."""
        for one in self._containers.all():
            if names.service(one.subject) != names.kind(one.subject) and one.state not in STARTED:
                self._containers.take_away(one.id)
        for subject in {one.subject for one in self._containers.all() if one.name.endswith((names.OLD, names.NEXT))}:
            serving, begun = self._settle(subject)
            if serving is not None and begun is not None:
                self._containers.take_away(begun.id)

    def _settle(self, subject: str) -> tuple[Found | None, Found | None]:
        """Who serves, and who was to take over."""
        there = {one.name: one for one in self._containers.all() if one.subject == subject}
        name = names.container(self._deployment, subject)
        serving, begun = there.get(name), there.get(name + names.NEXT)
        if serving is None and begun is not None and begun.state in STARTED:
            self._containers.rename(begun.id, name)  # killed between two renames: it has the socket already
            serving, begun = begun, None
        self._leave(there.get(name + names.OLD))
        return serving, begun

    def away(self, subject: str) -> None:
        for one in self._containers.all():
            if one.subject == subject:
                self._leave(one)

    def _bring_up(self, one: Found) -> None:
        network = one.spec["container"]["HostConfig"].get("NetworkMode", "none")
        if network != "none" and network not in one.networks:
            self._containers.connect(one.id, one.subject, network)
        if one.state == "paused":
            self._containers.api.unpause(one.id)
        if one.state not in STARTED:
            self._containers.start_again(one)

    def _start_first(self, subject: str, spec: Spec, serving: Found, begun: Found | None) -> None:
        name = names.container(self._deployment, subject)
        if begun is not None and begun.labels[names.DIGEST] == components.digest(spec) and begun.state in LIVING:
            made = begun.id  # of a rollout that was killed here
        else:
            made = self._containers.make(subject, spec, suffix=names.NEXT, labels=self._labels(subject))
        self._containers.start(made, subject)
        failure = self._wait(subject, made)
        if failure:
            self._containers.take_away(made)
            raise Failed(f"{subject} was not replaced, the one before goes on: {failure}")
        self._check()
        self._containers.rename(serving.id, name + names.OLD)
        self._containers.rename(made, name)
        self._leave(serving)

    def _wait(self, subject: str, one: str) -> str:
        """Why it will not become ready; empty when it is."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            found = next((each for each in self._containers.all() if each.id == one), None)
            now = self._ready(found) if found is not None else Readiness(Answer.FAILED, f"{subject} is gone")
            if now.answer is Answer.READY:
                return ""
            if now.answer is Answer.FAILED:
                return now.message
            if time.monotonic() >= deadline:
                said = readiness.last_words(self._containers, found) if found is not None else ""
                return f"not ready after {self._timeout_s:g} s: {now.message}{f'; it said: {said}' if said else ''}"
            time.sleep(POLL_S)

    def _stop_first(self, subject: str, spec: Spec, serving: Found | None, begun: Found | None) -> None:
        # Made before the one there ends: what Docker refuses about it must not cost a pause.
        made = self._containers.make(subject, spec, suffix=names.NEXT, labels=self._labels(subject))
        if serving is not None:
            if serving.state in STARTED:
                self.stopped_s[subject] = time.monotonic()
            self._containers.stop(serving.id, subject)
            self._check()
            self._containers.take_away(serving.id)
        self._containers.rename(made, names.container(self._deployment, subject))
        self._containers.start(made, subject)

    def _leave(self, one: Found | None) -> None:
        if one is not None:
            self._containers.stop(one.id, one.subject)
            self._containers.take_away(one.id)
