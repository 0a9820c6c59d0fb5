"""A target made of files: everything a real one promises, and a hook at each point where it could be killed."""

import json
import os
import shutil
import sys
import time
import warnings
from pathlib import Path

from hftctl.errors import Failed, NotFound
from hftctl.paths import Layout, make_folder, write_atomic
from hftctl.plan.actuator import Answer, Readiness
from hftctl.plan.journal import RolloutJournal
from hftctl.release import Release, Revision
from hftctl.targets import flock
from hftctl.targets.base import ComponentStatus, Finding, LogLine, Surroundings, whole
from hftctl.targets.local import event_log


def profile(name="fake", version=1, gateways=1, **more):
    """Components with `version` in their settings; `broken` never become ready, `refused` cannot be applied."""
    return {
        "name": name,
        "target": "fake",
        "environment": "development",
        "version": version,
        "gateways": gateways,
        "partitions": [{"ranges": ["0-9", "A-Z"]}],
        "rollout": {"timeout_s": 5.0},
        "broken": [],
        "refused": [],
        "busy_ports": [],
        **more,
    }


def release(**fields):
    values = profile(**{key: value for key, value in fields.items() if key not in ("target", "environment")})
    return Release(values["name"], "fake", "development", values, {"engine": "e", "stack": "s"})


class HookedJournal(RolloutJournal):
    def __init__(self, path, at):
        super().__init__(path)
        self.at = at

    def _append(self, entry):
        self.at(f"before journal {entry['entry']}")
        super()._append(entry)
        self.at(f"after journal {entry['entry']}")


class FakeTarget:
    name = "fake"
    said = ("last words",)  # by every component
    snapshot_error = ""  # why none can be taken

    def __init__(self, root, deployment="fake", at=lambda _point: None):
        self.deployment = deployment
        self.layout = Layout(Path(root) / deployment)
        self.at = at

    @property
    def state_file(self):
        return self.layout.run / "state.json"

    def preflight(self, release):
        ports = release.profile["busy_ports"]
        return [
            Finding("problem", "ports", f"port {p} is in use by nc (pid 7)", f"end nc: kill 7 ({p})") for p in ports
        ]

    def desired(self, release):
        wanted = release.profile
        names = ["postgres-0", "engine-0", *(f"gateway-{n}" for n in range(wanted["gateways"])), "nginx"]
        return {
            subject: {
                "settings": {"version": wanted["version"]},
                "fate": "broken" if subject in wanted["broken"] else "refused" if subject in wanted["refused"] else "",
            }
            for subject in names
        }

    def rendered(self, release):
        return {f"{subject}.json": json.dumps(spec) for subject, spec in self.desired(release).items()}

    def canary(self, release, before, percent):
        """One of each kind, and a door that knows how requests are divided."""
        made = {"baseline-1": before, "canary-1": release}
        beside = {name: self.desired(one)["gateway-0"] for name, one in made.items()}
        return beside | {"nginx": {**self.desired(before)["nginx"], "percent": percent}}

    def begin(self, release):
        self.at("before begin")
        for folder in (self.layout.run, self.layout.data, self.layout.logs):
            make_folder(folder)
        write_atomic(self.layout.release, json.dumps(release.document()))
        self.at("after begin")

    def observe(self):
        try:
            found = json.loads(self.state_file.read_text())
        except FileNotFoundError:
            return {}
        return {
            name: found[name]
            for name in sorted(found, key=("postgres-0 engine-0 gateway-0 gateway-1 baseline-1 canary-1 nginx").find)
        }

    def _write(self, state):
        make_folder(self.layout.run)
        write_atomic(self.state_file, json.dumps(state))

    def apply(self, change):
        self.at(f"before {change.op} {change.subject}")
        state = self.observe()
        if change.after is not None and change.after["fate"] == "refused":
            raise Failed(f"{change.subject} cannot be started: exec format error")
        if change.op in ("update", "restart"):  # as a process is: stopped first, and there is a moment without it
            state.pop(change.subject, None)
            self._write(state)
            self.at(f"amid {change.op} {change.subject}")
        state.pop(change.subject, None)
        if change.after is not None:
            state[change.subject] = change.after
        self._write(state)
        self.at(f"after {change.op} {change.subject}")

    def readiness(self, subject):
        spec = self.observe().get(subject)
        if spec is None:
            return Readiness(Answer.WAITING, f"{subject} is not running")
        if spec["fate"] == "broken":
            return Readiness(Answer.FAILED, f"{subject} exited with 3: cannot allocate memory")
        return Readiness(Answer.READY, f"{subject} answers")

    def pause_ms(self, subject):
        return None

    def status(self):
        if not self.layout.release.exists():
            return []
        release_ = Release.from_document(json.loads(self.layout.release.read_text()))
        there = self.observe()
        return [
            ComponentStatus(
                component=name,
                state="running" if name in there else "missing",
                ready=name in there,
                message="" if name in there else "not running",
            )
            for name in {**self.desired(release_), **there}
        ]

    def logs(self, components, *, since_s, follow, past=whole):
        yield from past(LogLine(one, time.time_ns(), text) for one in components or ["engine-0"] for text in self.said)

    def events(self):
        return event_log.Events(self.layout.logs)

    def note(self, event, component, message, actor):
        event_log.note(make_folder(self.layout.logs), event, component, message, actor)

    def surroundings(self, component):
        return Surroundings(self.layout.root, {"PATH": os.environ["PATH"], "COMPONENT": component})

    def secrets(self):
        return ["a-secret-of-the-fake"]

    def endpoint(self):
        if not self.layout.release.exists():
            raise NotFound(f"'{self.deployment}' was never deployed here")
        return "http://127.0.0.1:1"

    def operator_key(self):
        return None

    def postgres(self, partition):
        raise NotFound("a target of files has no PostgreSQL")

    def ask_engine(self, partition, message, *, timeout_s):
        if f"engine-{partition}" not in self.observe():
            raise NotFound(f"cannot reach engine-{partition}: connection refused")
        halted = self.layout.data / "halted"
        if message["command"] == "halt":
            halted.write_text(message["why"])
        elif message["command"] == "resume":
            halted.unlink(missing_ok=True)
        snapshot = self.layout.data / "snapshot"
        if message["command"] == "snapshot":
            snapshot.write_text(self.snapshot_error)
        taken = snapshot.exists() and not snapshot.read_text()
        snapshots = {
            "verified": 7 if taken else 0,
            "error": snapshot.read_text() if snapshot.exists() else "",
            "bytes": 0,
        }
        engine = {"sequence": 7, "durable_sequence": 7, "live_orders": 2, "snapshots": snapshots}
        return {"ok": True, "halted": halted.exists(), "implementation": "cython", **engine}

    def lock(self, why, *, wait_s, shared=False):
        return flock.hold(
            self.layout.lock, deployment=self.deployment, holder="ana@desk3", why=why, wait_s=wait_s, shared=shared
        )

    def holder(self):
        return flock.holder(self.layout.lock)

    def journal(self):
        return HookedJournal(self.layout.rollout_journal, self.at)

    def revisions(self):
        files = sorted(self.layout.revisions.glob("*.json"), key=lambda path: int(path.stem))
        return [Revision.from_document(json.loads(path.read_text())) for path in files]

    def record(self, revision):
        self.at("before record")
        make_folder(self.layout.revisions)
        write_atomic(self.layout.revisions / f"{revision.number}.json", json.dumps(revision.document()))
        self.at("after record")

    def stop(self):
        self._write({})

    def remove(self, *, data):
        for folder in (self.layout.run, self.layout.logs, self.layout.revisions):
            self.at(f"before removing {folder.name}")
            shutil.rmtree(folder, ignore_errors=True)
        self.layout.release.unlink(missing_ok=True)
        if data:
            shutil.rmtree(self.layout.data, ignore_errors=True)
        self.at("before removing the journal")
        self.layout.rollout_journal.unlink()
        if data:
            shutil.rmtree(self.layout.root)


def killed_at(point_number, act):
    """Run `act(hook)` in a child that kills itself with SIGKILL at the nth point; True when it came that far."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a test runner may have threads; none holds a lock of ours
        child = os.fork()
    if child == 0:
        count = 0

        def hook(_point):
            nonlocal count
            if count == point_number:
                os.kill(os.getpid(), 9)
            count += 1

        try:
            act(hook)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def points_of(act):
    """The names of the points that `act(hook)` passes."""
    found = []
    act(found.append)
    return found
