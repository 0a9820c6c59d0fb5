"""What stands on this machine, read from specs, records, the process table and the supervisor. Changes nothing."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hftctl.paths import Layout
from hftctl.plan.actuator import Answer, Readiness
from hftctl.plan.change import Spec, State
from hftctl.targets.base import ComponentStatus
from hftctl.targets.differing import EDITED
from hftctl.targets.local import components, control, exits, log_stream
from hftctl.targets.local import readiness as answers
from hftctl.targets.local.child import Status
from hftctl.targets.local.identity import facts
from hftctl.targets.local.process import Record, read_record

SPEC = ".spec.json"
SHOWN_LINES = 3
FULL_BYTES = 64 << 20  # with less the engine takes no orders, see stack/matcher/room.py


def spec_file(layout: Layout, subject: str) -> Path:
    """The spec that was applied last."""
    return layout.config / f"{subject}{SPEC}"


def schema_file(layout: Layout, subject: str) -> Path:
    """Inside the cluster's folder: another cluster has not been migrated."""
    return layout.postgres(components.number(subject)) / "hftctl-schema.json"


def known(layout: Layout) -> list[str]:
    """Subjects that were applied and not deleted, in order of dependency."""
    return components.order(path.name.removesuffix(SPEC) for path in layout.config.glob(f"*{SPEC}"))


def processes(layout: Layout) -> list[str]:
    return [subject for subject in known(layout) if components.kind(subject) != "schema"]


def observe(layout: Layout) -> State:
    """What runs, with the spec it runs with. What does not run is not there, so that a plan starts it."""
    found: dict[str, Spec] = {}
    if control.supervisor_identity(layout) is not None:
        found["supervisor"] = control.supervisor_spec(layout)
    for subject in known(layout):
        spec = read(spec_file(layout, subject))
        if components.kind(subject) == "schema":
            if spec is not None and spec == read(schema_file(layout, subject)):
                found[subject] = spec
            continue
        record = read_record(layout.run, subject)
        if record is None or not record.alive:
            continue
        if spec is not None and components.process(subject, spec).digest == record.digest:
            found[subject] = {**spec, EDITED: names} if (names := edited(layout, subject, spec)) else spec
        else:
            found[subject] = {"digest": record.digest}  # killed between the files and the process
    return {subject: found[subject] for subject in components.order(found)}


def files(subject: str, spec: Spec) -> dict[str, str]:
    """Name below `config/` -> content, as they are written for a spec."""
    written = {name: "\n".join(lines) + "\n" for name, lines in spec.get("files", {}).items()}
    if "settings" in spec:
        written[f"{subject}.json"] = json.dumps(spec["settings"], indent=1)
    return written


def edited(layout: Layout, subject: str, spec: Spec) -> list[str]:
    """Files that a person changed or removed since."""
    return [name for name, wanted in files(subject, spec).items() if _content(layout.config / name) != wanted.encode()]


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def read(path: Path) -> Spec | None:
    try:
        spec: Spec = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return spec


def readiness(layout: Layout, subject: str) -> Readiness:
    supervisor = control.status(layout)
    if subject == "supervisor":
        if supervisor is None:
            return Readiness(Answer.WAITING, f"the supervisor of '{layout.name}' does not answer")
        return Readiness(Answer.READY, f"the supervisor runs as pid {supervisor['pid']}")
    if components.kind(subject) == "schema":
        spec = read(spec_file(layout, subject))
        if spec is None or spec != read(schema_file(layout, subject)):
            return Readiness(Answer.WAITING, "the schema was not brought up to date yet")
        return Readiness(Answer.READY, "the schema has everything that its release brings")
    return _component(layout, subject, supervisor, read_record(layout.run, subject))


def _component(layout: Layout, subject: str, supervisor: Mapping[str, Any] | None, record: Record | None) -> Readiness:
    spec = read(spec_file(layout, subject))
    if spec is None:
        return Readiness(Answer.FAILED, f"{subject} was never deployed here")
    wanted = components.process(subject, spec).digest
    process = (supervisor or {"processes": {}})["processes"].get(subject)
    if process is not None and process["status"] != Status.RUNNING:
        return _not_running(layout, subject, process)
    if process is not None and process.get("refused"):  # a supervisor of an earlier version does not say it
        said = last_lines(layout, subject)
        return Readiness(
            Answer.FAILED,
            f"{subject} was not replaced, the one before goes on: {process['refused']}"
            f"{f'; it said: {said}' if said else ''}",
        )
    if process is not None and process.get("replacing"):
        return Readiness(Answer.WAITING, f"{subject} starts anew beside the one that goes on serving")
    if record is None or not record.alive:
        if supervisor is None:
            return Readiness(Answer.FAILED, f"{subject} does not run, and no supervisor is there to start it")
        if process is not None and process["pid"]:
            unwritten = f"its record cannot be written in {layout.run}; is the disk full?"
            return Readiness(Answer.WAITING, f"{subject} runs as pid {process['pid']}, {unwritten}")
        return Readiness(Answer.WAITING, f"{subject} does not run yet")
    if record.digest != wanted:
        return Readiness(Answer.WAITING, f"{subject} still runs with its old configuration")
    return answers.of(layout, subject, spec)


def _not_running(layout: Layout, subject: str, process: Mapping[str, Any]) -> Readiness:
    if process["status"] == Status.FAILED:
        said = last_lines(layout, subject)
        if why := exits.why(layout, subject, process["code"]):
            return Readiness(Answer.FAILED, f"{subject} ended for good: {why}{f'; it said: {said}' if said else ''}")
        return Readiness(
            Answer.FAILED,
            f"{subject} dies again and again: {process['reason']}{f'; it said: {said}' if said else ''}{_full(layout)}",
        )
    if process["status"] == Status.RESTARTING:
        return Readiness(Answer.WAITING, f"{subject} died ({process['reason']}) and is started again{_full(layout)}")
    return Readiness(Answer.WAITING, f"{subject} is {process['status']}")


def _full(layout: Layout) -> str:
    """On a full disk what dies cannot say why: there is no room for its last words either."""
    free = shutil.disk_usage(layout.root).free
    return f"; the disk of {layout.root} is full, {free >> 20} MiB free: make room there" if free < FULL_BYTES else ""


def pause_ms(layout: Layout, subject: str) -> float | None:
    """Until now: who asks does so when it is ready again."""
    process = (control.status(layout) or {"processes": {}})["processes"].get(subject)
    return (time.time_ns() - process["asked_ns"]) / 1e6 if process is not None and process["asked_ns"] else None


def last_lines(layout: Layout, subject: str) -> str:
    """Each line once: what dies again and again says the same every time."""
    lines = log_stream.stream(layout.logs, [subject], since_s=60, follow=False)
    said = list(dict.fromkeys(line.text.strip().splitlines()[-1] for line in lines if line.text.strip()))
    return " | ".join(said[-SHOWN_LINES:])


def status(layout: Layout) -> Sequence[ComponentStatus]:
    subjects = processes(layout)
    supervisor = control.status(layout)
    own = control.supervisor_identity(layout)
    found = [
        ComponentStatus(
            "supervisor",
            "running" if supervisor else "missing",
            supervisor is not None,
            f"looks after {len(supervisor['processes'])} components"
            if supervisor
            else f"does not run, so nothing that dies is restarted; repair with: hftctl start -p {layout.name}",
            pid=own.pid if own else None,
        )
    ]
    if not subjects:
        return found if own else []
    with ThreadPoolExecutor(len(subjects)) as pool:  # each may take its time limit, all together no longer
        return [*found, *pool.map(lambda subject: _status(layout, subject, supervisor), subjects)]


def _status(layout: Layout, subject: str, supervisor: Mapping[str, Any] | None) -> ComponentStatus:
    record = read_record(layout.run, subject)
    process = (supervisor or {"processes": {}})["processes"].get(subject)
    seen = facts(record.identity.pid) if record is not None and record.alive else None
    if process is None and seen is None:
        state = "stopped" if supervisor is None else "missing"
        return ComponentStatus(subject, state, False, f"does not run; start it with: hftctl start -p {layout.name}")
    answer = _component(layout, subject, supervisor, record)
    state = process["status"] if process else "running"
    return ComponentStatus(
        subject,
        "restarting" if state == Status.STOPPING else state,
        answer.answer is Answer.READY,
        answer.message,
        pid=record.identity.pid if record is not None and seen else None,
        started_ns=record.started_ns if record is not None and seen else None,
        restarts=process["restarts"] if process else record.restarts if record else 0,
        memory_bytes=seen.memory_bytes if seen else None,
        cpu_s=seen.cpu_s if seen else None,
    )
