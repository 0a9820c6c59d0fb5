"""The local target: what a release wants becomes files and processes on this machine, and is found again in them."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from hftctl.errors import Failed, NotFound
from hftctl.paths import Layout, layout, make_folder, write_atomic
from hftctl.plan.actuator import Readiness
from hftctl.plan.change import Change, Op, Spec, State
from hftctl.plan.journal import RolloutJournal
from hftctl.release import Release, Revision
from hftctl.run import run
from hftctl.targets import admin, flock, rendering
from hftctl.targets.base import ComponentStatus, Drift, EventSource, Finding, LogLine, Past, Surroundings, whole
from hftctl.targets.differing import EDITED
from hftctl.targets.local import (
    catalog,
    components,
    control,
    credentials,
    drift,
    event_log,
    history,
    log_stream,
    nginx,
    preflight,
    readiness,
    standing,
    surroundings,
)
from hftctl.targets.local.process import read_record

CHECK_TIMEOUT_S = 10.0
MIGRATE_TIMEOUT_S = 300.0


class LocalTarget:
    """One deployment on this machine. See `hftctl.targets.base.Target` for what each method promises."""

    name = "local"

    def __init__(self, deployment: str, home: Path | None = None) -> None:
        """`home`: another state home than ours, for one that stands beside it for a while."""
        self.deployment = deployment
        self.layout = layout(deployment) if home is None else Layout(home / deployment)

    # what is wanted, what is there

    def preflight(self, release: Release) -> Sequence[Finding]:
        return preflight.findings(self.layout, release)

    def desired(self, release: Release) -> State:
        return components.desired(release, self.layout)

    def rendered(self, release: Release) -> Mapping[str, str]:
        found = {}
        for subject, spec in self.desired(release).items():
            for name, lines in rendering.rendered(subject, spec):
                place = f"processes/{subject}.json" if name == rendering.PROCESS else f"config/{name}"
                found[place] = "\n".join(lines) + "\n"
        return found

    def canary(self, release: Release, before: Release, percent: int) -> State:
        return {}  # gateways of both releases would run the code that is installed; `profile check` refuses the key

    def observe(self) -> State:
        return standing.observe(self.layout)

    # changes

    def begin(self, release: Release) -> None:
        place = self.layout
        make_folder(place.root, mode=0o700)
        for folder in (place.run, place.config, place.logs, place.data, place.revisions):
            make_folder(folder, mode=0o700)
        for folder in (place.valkey, place.run / "metrics"):
            make_folder(folder, mode=0o700)
        for number in range(len(release.profile["partitions"])):
            make_folder(place.partition(number), mode=0o700)
        credentials.make(place, release.profile["accounts"], api_keys=release.profile["authentication"] == "api_key")
        history.write_release(place, release)

    def apply(self, change: Change) -> None:
        if change.op is Op.KEEP:
            return
        if change.op is Op.DELETE or change.after is None:
            self._delete(change.subject)
            return
        if change.subject == "supervisor":
            control.replace(self.layout, change.after, anyway=change.op is Op.RESTART)
            return
        if "digest" in change.after:
            raise Failed(
                f"cannot go back to how {change.subject} ran before: that was never recorded "
                f"(process with digest {change.after['digest']})",
                hint=f"deploy again: hftctl deploy {self.deployment}",
            )
        wanted = {key: value for key, value in change.after.items() if key != EDITED}
        read_edited = self._read_edited(change)
        self._write(change.subject, wanted)
        if components.kind(change.subject) == "schema":
            self._migrate(change.subject, wanted)
            return
        process = components.process(change.subject, wanted)
        control.apply(self.layout, process)
        if change.op is Op.RESTART or read_edited:
            control.restart(self.layout, change.subject)

    def _read_edited(self, change: Change) -> bool:
        """Whether its process may have read a file that a person edited: it started, or can load it anew, since then."""
        record = read_record(self.layout.run, change.subject)
        if record is None or change.before is None or EDITED not in change.before:
            return False
        places = [self.layout.config / name for name in change.before[EDITED]]
        since = [path.stat().st_ctime_ns for path in places if path.exists()]
        return bool(change.before["process"].get("reload")) or any(record.started_ns > one for one in since)

    def _write(self, subject: str, spec: Spec) -> None:
        """The configuration first, the spec last: what is recorded as applied has its files."""
        if subject == "nginx":
            self._check_nginx(spec)
        for name, content in standing.files(subject, spec).items():
            write_atomic(self.layout.config / name, content, mode=0o600)
        write_atomic(standing.spec_file(self.layout, subject), json.dumps(spec), mode=0o600)

    def _check_nginx(self, spec: Spec) -> None:
        """Before it replaces the one that works: nginx keeps silent about a bad file until its next start."""
        path = self.layout.config / "nginx.conf.new"
        write_atomic(path, "\n".join(spec["files"]["nginx.conf"]) + "\n", mode=0o600)
        argv = [str(path) if word.endswith("/nginx.conf") else word for word in spec["process"]["argv"]]
        try:
            run([*argv, "-t", "-q"], timeout_s=CHECK_TIMEOUT_S, cwd=self.layout.run)
        finally:
            path.unlink()

    def _migrate(self, subject: str, spec: Spec) -> None:
        if spec == standing.read(standing.schema_file(self.layout, subject)):
            return  # it was brought there already: a revert must not fail on what the release it takes back has met
        path = self.layout.config / f"{subject}.json"
        run(
            [*components.python(), "-m", "stack.schema", "migrate", "--config", path, "--create-database"],
            timeout_s=MIGRATE_TIMEOUT_S,
            cwd=self.layout.run,
            env=components.python_path("stack"),
        )
        self._keep_catalog(subject, spec)
        write_atomic(standing.schema_file(self.layout, subject), json.dumps(spec), mode=0o600)

    def _keep_catalog(self, subject: str, spec: Spec) -> None:
        """What the migrations left, for who later asks what a person changed."""
        import psycopg

        port = int(spec["settings"]["postgres"]["port"])
        try:
            with psycopg.connect(**readiness.connection(self.layout, port)) as server:
                catalog.keep(self.layout, subject, catalog.look(server))
        except psycopg.Error as error:
            raise Failed(f"cannot read the schema that was just migrated: {error}") from error

    def _delete(self, subject: str) -> None:
        if subject == "supervisor":
            control.leave(self.layout)
        elif components.kind(subject) == "schema":
            standing.schema_file(self.layout, subject).unlink(missing_ok=True)
        else:
            control.remove(self.layout, subject)
        standing.spec_file(self.layout, subject).unlink(missing_ok=True)

    # questions

    def readiness(self, subject: str) -> Readiness:
        return standing.readiness(self.layout, subject)

    def pause_ms(self, subject: str) -> float | None:
        return standing.pause_ms(self.layout, subject)

    def status(self) -> Sequence[ComponentStatus]:
        return standing.status(self.layout)

    def logs(
        self, components: Sequence[str], *, since_s: float | None, follow: bool, past: Past = whole
    ) -> Iterator[LogLine]:
        return log_stream.stream(self.layout.logs, components, since_s=since_s, follow=follow, past=past)

    def events(self) -> EventSource:
        return event_log.Events(self.layout.logs)

    def drift(self, release: Release) -> Iterator[Drift]:
        return drift.find(self.layout, release, self.desired(release))

    def note(self, event: str, component: str, message: str, actor: str) -> None:
        event_log.note(self.layout.logs, event, component, message, actor)

    def surroundings(self, component: str) -> Surroundings:
        return surroundings.of(self.layout, component)

    def connection(self, component: str) -> Sequence[str]:
        return surroundings.connection(self._release().profile, component)

    def secrets(self) -> Sequence[str]:
        return credentials.values(self.layout)

    def endpoint(self) -> str:
        return nginx.endpoint(self._release().profile)

    def operator_key(self) -> str | None:
        if self._release().profile["authentication"] != "api_key":
            return None
        return credentials.read(self.layout, f"api_key.{credentials.OPERATOR}")

    def postgres(self, partition: int) -> Mapping[str, Any]:
        return readiness.connection(self.layout, self._release().profile["ports"]["postgres"])

    def ask_engine(self, partition: int, message: Mapping[str, Any], *, timeout_s: float) -> Mapping[str, Any]:
        return admin.ask(self.layout.admin_socket(partition), message, timeout_s=timeout_s)

    def _release(self) -> Release:
        release = history.read_release(self.layout)
        if release is None:
            raise NotFound(
                f"'{self.deployment}' was never deployed here ({self.layout.root})",
                hint=f"hftctl deploy {self.deployment}",
            )
        return release

    # records

    def lock(self, why: str, *, wait_s: float, shared: bool = False) -> AbstractContextManager[None]:
        return flock.hold(
            self.layout.lock, deployment=self.deployment, holder=_holder(), why=why, wait_s=wait_s, shared=shared
        )

    def holder(self) -> str:
        return flock.holder(self.layout.lock)

    def journal(self) -> RolloutJournal:
        return RolloutJournal(self.layout.rollout_journal)

    def revisions(self) -> Sequence[Revision]:
        return history.revisions(self.layout)

    def record(self, revision: Revision) -> None:
        history.record(self.layout, revision)

    # the end

    def stop(self) -> None:
        subjects = standing.processes(self.layout)
        if not subjects and control.supervisor_identity(self.layout) is None:
            return
        control.ensure(self.layout, start=False)
        for subject in reversed(subjects):
            control.remove(self.layout, subject)
        control.leave(self.layout)

    def remove(self, *, data: bool) -> None:
        place = self.layout
        folders = [place.run, place.config, place.logs, place.revisions]
        if data:
            folders += [place.data, place.secrets, *place.asides()]
        for folder in folders:
            going = folder.with_name(f".{folder.name}.removed")
            if going.exists():
                shutil.rmtree(going)
            if folder.exists():
                # At once and whole: a deploy after a kill in here must not find half a database or half a journal.
                folder.rename(going)
                shutil.rmtree(going)
        # Behind the journal only the lock: until it is gone too, nobody else begins to deploy here.
        for file in (place.release, place.rollout_journal, place.lock):
            file.unlink(missing_ok=True)
        if place.root.exists() and not any(place.root.iterdir()):
            place.root.rmdir()


def _holder() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.geteuid()}"
    return f"{user}@{socket.gethostname()}"
