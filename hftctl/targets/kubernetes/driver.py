"""The Kubernetes target: what a release wants becomes objects in a namespace of its own, and is found again in them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from hftctl.errors import DamageFound, HftctlError, NotFound
from hftctl.plan.actuator import Answer, Readiness
from hftctl.plan.change import Change, Op, State
from hftctl.plan.journal import RolloutJournal
from hftctl.release import Release, Revision
from hftctl.targets.base import ComponentStatus, Drift, EventSource, Finding, LogLine, Past, Surroundings, whole
from hftctl.targets.compose.services import POSTGRES_PORT
from hftctl.targets.differing import MARKS
from hftctl.targets.kubernetes import (
    cluster,
    components,
    credentials,
    door,
    drift,
    emergency,
    events,
    lease,
    log_stream,
    manifests,
    names,
    plain,
    pods,
    preflight,
    readiness,
    removal,
    standing,
)
from hftctl.targets.kubernetes.api import Api
from hftctl.targets.kubernetes.changes import Changes
from hftctl.targets.kubernetes.store import Store, StoredJournal
from hftctl.targets.kubernetes.tunnel import Tunnel
from hftctl.targets.local import history
from hftctl.targets.local import services as settings

ASK_EVERY_S = 0.3
RELEASE_KEY, HASH_KEY = "document.json", "release.json"


class KubernetesTarget:
    """One deployment on one cluster. See `hftctl.targets.base.Target` for what each method promises."""

    name = "kubernetes"

    def __init__(self, deployment: str) -> None:
        self.deployment = deployment
        self._connection: tuple[Api, str, cluster.Pin] | NotFound | None = None
        self._asked: dict[str, tuple[float, Readiness]] = {}
        self._changed: dict[str, float] = {}  # subject -> when its pods were told to end
        self._ports: dict[str, int] = {}  # component -> port on loopback that leads there

    @property
    def _connected(self) -> tuple[Api, str, cluster.Pin]:
        """Asked for once, whatever the answer: what needs no cluster must not wait for it again and again."""
        if self._connection is None:
            try:
                api, context = cluster.connect()
                self._connection = api, context, cluster.check(api, context, self.deployment)
            except NotFound as error:
                self._connection = error
        if isinstance(self._connection, NotFound):
            raise self._connection
        return self._connection

    @property
    def api(self) -> Api:
        return self._connected[0]

    @cached_property
    def store(self) -> Store:
        return Store(self.api, self.deployment)

    @cached_property
    def changes(self) -> Changes:
        return Changes(self.api, self.deployment, self.store.check)

    # what is wanted, what is there

    def preflight(self, release: Release) -> Sequence[Finding]:
        return preflight.findings(self.api, release)

    def desired(self, release: Release) -> State:
        return components.desired(release)

    def rendered(self, release: Release) -> Mapping[str, str]:
        return plain.manifests_of(release)

    def canary(self, release: Release, before: Release, percent: int) -> State:
        return {}

    def observe(self) -> State:
        return standing.observe(self.api, self.deployment)

    # changes

    def begin(self, release: Release) -> None:
        self.store.check()
        self._make_namespace(release.profile["kubernetes"]["overlay"])
        credentials.make(self.store, release.profile["accounts"])
        document = {"hash": release.hash, **release.document()}
        data = {HASH_KEY: json.dumps({"hash": release.hash}), RELEASE_KEY: history.text(document)}
        self.store.write("ConfigMap", names.RELEASE, data=data)
        self.changes.prune(self.desired(release))

    def _make_namespace(self, overlay: str) -> None:
        """Before everything else: records and the lock are in it, too."""
        wanted = next(one for one in manifests.of(overlay, names.BASE, self.deployment) if one["kind"] == "Namespace")
        there = self.api.get("Namespace", wanted["metadata"]["name"])
        if there is None or manifests.differing(wanted, there):
            self.api.apply(wanted)

    def apply(self, change: Change) -> None:
        if change.op is Op.KEEP:
            return
        self._asked.pop(change.subject, None)
        self._changed[change.subject] = time.monotonic()
        if change.op is Op.DELETE or change.after is None:
            self.changes.away(change.subject)
            return
        spec = {key: value for key, value in change.after.items() if key not in MARKS}
        self.changes.to(change.subject, spec, restart=change.op is Op.RESTART)

    # questions

    def readiness(self, subject: str) -> Readiness:
        """Who waits asks ten times a second; the API server is asked less often."""
        at, answer = self._asked.get(subject, (0.0, None))
        if answer is None or time.monotonic() - at > ASK_EVERY_S:
            answer = self._readiness(subject)
            self._asked[subject] = time.monotonic(), answer
        return answer

    def _readiness(self, subject: str) -> Readiness:
        found = self._carrier(subject)
        if found is None:
            return Readiness(Answer.WAITING, f"{subject} does not run yet")
        if subject == names.BASE:
            return Readiness(Answer.READY, f"{names.namespace(self.deployment)} has what all components share")
        if found["kind"] == "Job" and found["metadata"]["annotations"].get(names.DATABASE) != standing.database(
            self.api, self.deployment
        ):
            return Readiness(Answer.WAITING, "the schema was not brought up to date yet")
        return readiness.of(self.api, self.deployment, subject, found)

    def _carrier(self, subject: str) -> dict[str, Any] | None:
        kinds = {"postgres": "StatefulSet", "engine": "StatefulSet", "schema": "Job", names.BASE: "ServiceAccount"}
        kind = kinds.get(names.kind(subject), "Deployment")
        found = self.api.get(kind, "hftctl" if subject == names.BASE else subject, names.namespace(self.deployment))
        if found is None or names.SPEC not in found["metadata"].get("annotations", {}):
            return None
        return None if found["metadata"].get("deletionTimestamp") else found

    def pause_ms(self, subject: str) -> float | None:
        """From the order to end until the next one worked: what clients met was no longer than that."""
        since = self._changed.pop(subject, None)
        away = since is not None and names.kind(subject) in ("engine", "postgres", "redis", "persister")
        return (time.monotonic() - since) * 1000 if since is not None and away else None

    def status(self) -> Sequence[ComponentStatus]:
        """Without a cluster the engines that are known of, so that a halt knows whom to tell."""
        try:
            return standing.status(self.api, self.deployment)
        except NotFound:
            if (kept := emergency.read(self.deployment)) is None:
                raise
            return kept.engines()

    def logs(
        self, components: Sequence[str], *, since_s: float | None, follow: bool, past: Past = whole
    ) -> Iterator[LogLine]:
        return log_stream.stream(
            self.api, self.store, self.deployment, components, since_s=since_s, follow=follow, past=past
        )

    def events(self) -> EventSource:
        return events.Events(self.api, self.deployment, self.store)

    def drift(self, release: Release) -> Iterator[Drift]:
        return drift.find(standing.Standing(self.api, self.deployment), self.desired(release), self.observe())

    def note(self, event: str, component: str, message: str, actor: str) -> None:
        try:
            events.note(self.store, event, component, message, actor)
        except HftctlError as error:
            raise OSError(error.message) from error

    def surroundings(self, component: str) -> Surroundings:
        return pods.surroundings(self.api, self._connected[1], self.deployment, component)

    def connection(self, component: str) -> Sequence[str]:
        return pods.connection(self.api, self.deployment, component)

    def secrets(self) -> Sequence[str]:
        return credentials.values(self.store)

    def endpoint(self) -> str:
        try:
            self._release()
            return self._door
        except NotFound:
            if isinstance(self._connection, NotFound) and (kept := emergency.read(self.deployment)) is not None:
                return kept.endpoint
            raise

    @cached_property
    def _door(self) -> str:
        return door.find(self.api, self.deployment)

    def operator_key(self) -> str | None:
        try:
            return credentials.read(self.store, names.KEYS).get(credentials.OPERATOR_KEY)
        except NotFound:
            if (kept := emergency.read(self.deployment)) is None:
                raise
            return kept.key

    def postgres(self, partition: int) -> Mapping[str, Any]:
        component = "postgres-0"
        if component not in self._ports:
            pods.find(self.api, self.deployment, component)
            namespace, find = names.namespace(self.deployment), lambda: pods.name(self.api, self.deployment, component)
            self._ports[component] = Tunnel(self.api, namespace, find, POSTGRES_PORT).port
        return {
            "host": "127.0.0.1",
            "port": self._ports[component],
            "dbname": settings.DATABASE,
            "user": settings.DATABASE_USER,
            "password": credentials.read(self.store, names.CREDENTIALS).get(settings.POSTGRES_PASSWORD, ""),
            "connect_timeout": 5,
        }

    def ask_engine(self, partition: int, message: Mapping[str, Any], *, timeout_s: float) -> Mapping[str, Any]:
        return pods.ask_engine(self.api, self.deployment, partition, message, timeout_s=timeout_s)

    def _release(self) -> Release:
        found = self.store.read("ConfigMap", names.RELEASE)
        if found is None:
            raise NotFound(
                f"'{self.deployment}' was never deployed on the cluster at {self.api.server}",
                hint="hftctl deploy orbstack",
            )
        try:
            return Release.from_document(json.loads(found["data"][RELEASE_KEY]))
        except (ValueError, KeyError, TypeError) as error:
            raise DamageFound(f"the ConfigMap {names.RELEASE} of '{self.deployment}' is damaged: {error}") from error

    # records

    @contextmanager
    def _locked(self, why: str, wait_s: float, shared: bool) -> Iterator[None]:
        self._make_namespace("orbstack")  # which is the same in all overlays
        cluster.pin(self.deployment, self._connected[2])
        with self.store.lock(why, wait_s=wait_s, shared=shared):
            yield

    def lock(self, why: str, *, wait_s: float, shared: bool = False) -> AbstractContextManager[None]:
        return self._locked(why, wait_s, shared)

    def holder(self) -> str:
        return lease.holder(self.api, self.deployment)

    def journal(self) -> RolloutJournal:
        return RolloutJournal(
            Path(names.namespace(self.deployment), "secret", names.JOURNAL), file=StoredJournal(self.api, self.store)
        )

    def revisions(self) -> Sequence[Revision]:
        return [
            history.revision(f"{names.REVISION}-{number:06d}", data)
            for number, data in self.store.revisions().items()
            if data
        ]

    def record(self, revision: Revision) -> None:
        self.store.write_revision(revision.number, history.text(revision.document()).encode())
        address = door.address(self.api, self.deployment)
        if address:
            partitions = len(revision.release.profile["partitions"])
            emergency.keep(self.deployment, emergency.Kept(address, self.operator_key() or "", partitions))

    # the end

    def stop(self) -> None:
        for subject in reversed(components.order(standing.Standing(self.api, self.deployment).carriers())):
            if names.kind(subject) not in (names.BASE, "schema"):
                self.changes.stop(subject)

    def remove(self, *, data: bool) -> None:
        removal.remove(self.api, self.store, self.deployment, data=data)
        cluster.forget(self.deployment)
        emergency.forget(self.deployment)
