"""The Compose target: what a release wants becomes containers, networks and volumes of a Docker engine, and is found again in them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

from hftctl.errors import DamageFound, Failed, NotFound
from hftctl.plan.actuator import Answer, Readiness
from hftctl.plan.change import Change, Op, Spec, State
from hftctl.plan.journal import RolloutJournal
from hftctl.release import Release, Revision
from hftctl.targets.base import ComponentStatus, Drift, EventSource, Finding, LogLine, Past, Surroundings, whole
from hftctl.targets.compose import (
    canary,
    components,
    credentials,
    daemon,
    database,
    drift,
    events,
    images,
    leftovers,
    log_stream,
    names,
    networks,
    plain,
    preflight,
    readiness,
    removal,
    services,
    standing,
    surroundings,
)
from hftctl.targets.compose.containers import Containers, Found
from hftctl.targets.compose.keeper import no_image
from hftctl.targets.compose.replacement import Replacement
from hftctl.targets.compose.store import Store, StoredJournal
from hftctl.targets.differing import AWAY, MARKS
from hftctl.targets.local import history, nginx
from hftctl.targets.local import services as settings
from hftctl.targets.local.credentials import OPERATOR

RELEASE = "state/release.json"
CONFIG = "config"
TIMEOUT_S = 120.0
NGINX_CHECK = ("nginx", "-t", "-q", "-p", "/srv/hftctl/run/", "-e", "stderr", "-c", "/srv/hftctl/config/nginx.conf.new")
NGINX_RELOAD = ("sh", "-c", "kill -HUP 1")


class ComposeTarget:
    """One deployment on one Docker engine. See `hftctl.targets.base.Target` for what each method promises."""

    name = "compose"

    def __init__(self, deployment: str) -> None:
        self.deployment = deployment
        self._image = ""  # of ours, that the release at hand runs
        self._stopped_s: dict[str, float] = {}
        self._timeout_s = TIMEOUT_S

    @cached_property
    def api(self) -> Any:
        return daemon.connect()

    @cached_property
    def containers(self) -> Containers:
        return Containers(self.api, self.deployment)

    @cached_property
    def _database(self) -> database.Database:
        return database.Database(self.containers, self.deployment)

    @cached_property
    def store(self) -> Store:
        return Store(self.api, self.deployment, self._writing_image)

    def _writing_image(self) -> str:
        """An image to write with: the release's, the one that records were written with before, or the newest there is."""
        there = self.containers.inspect(self.store.state_container)
        for image in filter(None, (self._image, there.get("Image"))):
            try:
                with daemon.saying(f"look for {image}"):
                    self.api.inspect_image(image)
            except Failed:
                continue
            return str(image)
        with daemon.saying("list images"):
            found = self.api.images(name=images.REPOSITORY, quiet=False)
        if not found:
            raise no_image()
        return str(max(found, key=lambda one: one["Created"])["Id"])

    # what is wanted, what is there

    def preflight(self, release: Release) -> Sequence[Finding]:
        self._image = release.artifacts[images.STACK]
        return preflight.findings(self.api, self.containers, release)

    def desired(self, release: Release) -> State:
        return components.desired(release, self._processors)

    def rendered(self, release: Release) -> Mapping[str, str]:
        return plain.files(release, os.cpu_count() or 1)

    def canary(self, release: Release, before: Release, percent: int) -> State:
        return canary.beside(release, before, percent, self._processors)

    @cached_property
    def _processors(self) -> int:
        with daemon.saying("ask how many processors the engine has"):
            return int(self.api.info()["NCPU"])

    def observe(self) -> State:
        return standing.observe(self.containers, self.store, self._cluster())

    def _cluster(self) -> str:
        return networks.volume_made(self.api, names.volume(self.deployment, "postgres-0"))

    # changes

    def begin(self, release: Release) -> None:
        self._image = release.artifacts[images.STACK]
        self._timeout_s = float(release.profile["rollout"]["timeout_s"])
        networks.make(self.api, self.deployment)
        with self.store.writer() as keeper:
            credentials.make(
                self.store, keeper, release.profile["accounts"], api_keys=release.profile["authentication"] == "api_key"
            )
            text = history.text({"hash": release.hash, **release.document()}).encode()
            keeper.write(RELEASE, text, mode=0o600)
            keeper.write(f"{CONFIG}/release.json", json.dumps({"hash": release.hash}).encode())
            self._replacement().settle_all()
            leftovers.remove(self.containers, keeper)

    def _replacement(self) -> Replacement:
        made = Replacement(
            self.containers,
            self.deployment,
            check=self.store.check,
            ready=lambda found: readiness.of(self.containers, found, ask=True),
            labels=lambda subject: {names.CLUSTER: self._cluster()} if names.kind(subject) == "schema" else {},
            timeout_s=self._timeout_s,
        )
        made.stopped_s = self._stopped_s
        return made

    def apply(self, change: Change) -> None:
        if change.op is Op.KEEP:
            return
        replacement = self._replacement()
        if change.op is Op.DELETE or change.after is None:
            replacement.away(change.subject)
            return
        spec = {key: value for key, value in change.after.items() if key not in MARKS}
        reload = change.subject == "nginx" and self._reloads(spec, change)
        with self.store.writer() as keeper:
            for name, content in components.rendered(change.subject, spec)[1].items():
                if reload:
                    self._check_nginx(content, keeper)
                keeper.write(f"{CONFIG}/{name}", content)
            if reload:
                self.reload_nginx()
            else:
                replacement.to(change, spec)
            if components.reloadable(spec):
                keeper.write(standing.LOADED, json.dumps(spec).encode(), mode=0o600)

    def _reloads(self, spec: Spec, change: Change) -> bool:
        """Whether the nginx that runs takes this by loading its configuration anew."""
        there = self.containers.serving().get("nginx")
        same = there is not None and there.state == "running" and there.labels[names.DIGEST] == components.digest(spec)
        return same and change.op is not Op.RESTART and AWAY not in (change.before or {})

    def reload_nginx(self) -> None:
        """From inside: Docker takes a container that it sent any signal for one that was stopped by hand (HasBeenManuallyStopped in
        moby's daemon/kill.go), and with `unless-stopped`, which older ones have, would not start it again after a restart of its own."""
        code, said = self.containers.run_in(self.containers.serving()["nginx"].id, NGINX_RELOAD)
        if code:
            raise Failed(f"nginx did not load its new configuration: {said}")

    def _check_nginx(self, content: bytes, keeper: Any) -> None:
        """Before it replaces the one that works: nginx keeps silent about a bad file until its next start."""
        keeper.write(f"{CONFIG}/nginx.conf.new", content)
        try:
            code, said = self.containers.run_in(self.containers.serving()["nginx"].id, NGINX_CHECK)
        finally:
            keeper.remove(f"{CONFIG}/nginx.conf.new")
        if code:
            raise Failed(f"nginx refuses its new configuration: {said}")

    # questions

    def readiness(self, subject: str) -> Readiness:
        found = self.containers.serving().get(subject)
        if found is None:
            return Readiness(Answer.WAITING, f"{subject} does not run yet")
        if names.kind(subject) == "schema" and found.labels.get(names.CLUSTER) != self._cluster():
            return Readiness(Answer.WAITING, "the schema was not brought up to date yet")
        return self._ready(found, ask=self.store.holds_lock)

    def _ready(self, found: Found, *, ask: bool) -> Readiness:
        if found.subject != "nginx":
            return readiness.of(self.containers, found, ask=ask)
        edge = str(standing.loaded(self.store, found).get("edge", ""))
        return readiness.of(self.containers, found, ask=ask, endpoint=self.endpoint(), edge=edge)

    def pause_ms(self, subject: str) -> float | None:
        since = self._stopped_s.pop(subject, None)
        return (time.monotonic() - since) * 1000 if since is not None else None

    def status(self) -> Sequence[ComponentStatus]:
        found = [one for one in self.containers.serving().values() if names.kind(one.subject) != "schema"]
        if not found:
            return []
        with ThreadPoolExecutor(len(found)) as pool:
            return list(pool.map(self._status, found))

    def _status(self, one: Found) -> ComponentStatus:
        answer = self._ready(one, ask=True)  # Docker looks every few seconds only
        return standing.status(one, self.containers.inspect(one.id), answer.answer is Answer.READY, answer.message)

    def logs(
        self, components: Sequence[str], *, since_s: float | None, follow: bool, past: Past = whole
    ) -> Iterator[LogLine]:
        return log_stream.stream(self.containers, self.store, components, since_s=since_s, follow=follow, past=past)

    def events(self) -> EventSource:
        return events.Events(self.api, self.deployment, self.store)

    def drift(self, release: Release) -> Iterator[Drift]:
        return drift.find(self.containers, self.store, self.deployment, self.desired(release), self.observe())

    def note(self, event: str, component: str, message: str, actor: str) -> None:
        events.note(self.store, event, component, message, actor)

    def surroundings(self, component: str) -> Surroundings:
        return surroundings.of(self.containers, self.deployment, component)

    def connection(self, component: str) -> Sequence[str]:
        return surroundings.connection(self.containers, self.deployment, component, self._writing_image())

    def secrets(self) -> Sequence[str]:
        return credentials.values(self.store)

    def endpoint(self) -> str:
        return networks.endpoint(nginx.endpoint(self._release().profile))

    def operator_key(self) -> str | None:
        if self._release().profile["authentication"] != "api_key":
            return None
        return credentials.read(self.store, f"keys/api_key.{OPERATOR}")

    def postgres(self, partition: int) -> Mapping[str, Any]:
        return {
            "host": str(self._database.folder(partition)),
            "port": services.POSTGRES_PORT,
            "dbname": settings.DATABASE,
            "user": settings.DATABASE_USER,
            "password": credentials.read(self.store, f"secrets/{settings.POSTGRES_PASSWORD}"),
            "connect_timeout": database.CONNECT_S,
        }

    def ask_engine(self, partition: int, message: Mapping[str, Any], *, timeout_s: float) -> Mapping[str, Any]:
        return surroundings.ask_engine(self.containers, partition, message)

    def _release(self) -> Release:
        text = self.store.read(RELEASE)
        if text is None:
            raise NotFound(
                f"'{self.deployment}' was never deployed on the Docker engine at {daemon.address()}",
                hint="hftctl deploy compose",
            )
        try:
            return Release.from_document(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise DamageFound(f"{RELEASE} of '{self.deployment}' is damaged: {error}") from error

    # records

    def lock(self, why: str, *, wait_s: float, shared: bool = False) -> AbstractContextManager[None]:
        return self.store.lock(why, wait_s=wait_s, shared=shared)

    def holder(self) -> str:
        return self.store.lock_holder()

    def journal(self) -> RolloutJournal:
        where = Path(names.volume(self.deployment, "state"), "rollout.journal")
        return RolloutJournal(where, file=StoredJournal(self.store))

    def revisions(self) -> Sequence[Revision]:
        found = self.store.tree("state/revisions")
        return [history.revision(name, found[name]) for name in sorted(found)]

    def record(self, revision: Revision) -> None:
        with self.store.writer() as keeper:
            text = history.text(revision.document()).encode()
            keeper.write(f"state/revisions/{revision.number:06d}.json", text, mode=0o600)

    # the end

    def stop(self) -> None:
        serving = self.containers.serving()
        for one in self.containers.all():
            if one.id not in {kept.id for kept in serving.values()}:
                self.containers.take_away(one.id)
        for subject in reversed(components.order(serving)):
            self.containers.rest(serving[subject].id, subject)

    def remove(self, *, data: bool) -> None:
        removal.remove(self.api, self.containers, self.store, self.deployment, data=data)
