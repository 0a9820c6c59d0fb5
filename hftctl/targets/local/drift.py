"""What on this machine is not as it was applied, though nobody deployed it: files, processes, programs, rights, doors.

Reads only. What servers keep inside themselves stands in drift_servers.py.
"""

from __future__ import annotations

import difflib
import os
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hftctl.paths import Layout
from hftctl.plan.change import Spec, State
from hftctl.release import Release, code_artifacts
from hftctl.targets.base import Drift
from hftctl.targets.differing import differing
from hftctl.targets.local import control, drift_servers, standing
from hftctl.targets.local.identity import environment, facts, members, processes, program, working_directory
from hftctl.targets.local.listeners import host_and_port, is_tcp
from hftctl.targets.local.preflight import SERVERS, owners
from hftctl.targets.local.process import COMPONENT_VARIABLE, DIGEST_VARIABLE, Record, read_record
from hftctl.targets.local.surroundings import EXEC_VARIABLE

PROC = Path("/proc")
SHOWN_WORDS = 120


def find(layout: Layout, release: Release, desired: State) -> Iterator[Drift]:
    """`desired`: of the recorded release."""
    start = f"hftctl start -p {layout.name}"
    yield from differing(desired, standing.observe(layout), start)
    records = {subject: read_record(layout.run, subject) for subject in standing.processes(layout)}
    for subject in standing.known(layout):
        spec = standing.read(standing.spec_file(layout, subject))
        if spec is None:
            continue
        yield from _files(layout, subject, spec, start)
        record = records.get(subject)
        if record is not None and record.alive:
            yield from _process(layout, subject, spec, record)
            yield from _doors(layout, subject, spec)
    yield from _strangers(layout, [record for record in records.values() if record is not None and record.alive])
    yield from _code(layout, release)
    yield from _secrets(layout)
    yield from drift_servers.find(layout, desired)


def _files(layout: Layout, subject: str, spec: Spec, start: str) -> Iterator[Drift]:
    for name, wanted in standing.files(subject, spec).items():
        path = layout.config / name
        lines = difflib.unified_diff(wanted.splitlines(), _read(path), "applied", "on disk", n=1, lineterm="")
        if shown := tuple(lines)[2:]:
            what = "was edited by hand" if path.exists() else "was removed by hand"
            yield Drift(subject, "file", f"config/{name} {what}", start, shown)


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _process(layout: Layout, subject: str, spec: Spec, record: Record) -> Iterator[Drift]:
    pid = record.identity.pid
    restart = f"hftctl restart {subject} -p {layout.name}"
    wanted = spec["process"]
    ours = not wanted.get("program")
    if ours and (argv := _words(pid)) and argv != list(wanted["argv"]):
        yield Drift(
            subject, "arguments", f"pid {pid} runs with other arguments: {shlex.join(argv)[:SHOWN_WORDS]}", restart
        )
    env = environment(pid)
    expected = {**wanted.get("env", {}), DIGEST_VARIABLE: record.digest}
    # A server writes its title over its environment; a reload changes what a process runs with, not its environment.
    if ours and env and (other := [name for name, value in expected.items() if env.get(name) != value]):
        yield Drift(subject, "environment", f"pid {pid} runs with another {', '.join(other)}", restart)
    yield from _program(subject, pid, restart)


def _program(subject: str, pid: int, restart: str) -> Iterator[Drift]:
    link = PROC / str(pid) / "exe"
    try:
        path = Path(str(link.readlink()).removesuffix(" (deleted)"))
        running = link.stat()
    except OSError:
        return  # gone meanwhile, or we may not look
    try:
        there = path.stat()
    except FileNotFoundError:
        yield Drift(subject, "program", f"pid {pid} runs {path}, which is not on the disk any more", restart)
        return
    if (running.st_dev, running.st_ino) != (there.st_dev, there.st_ino):
        yield Drift(subject, "program", f"pid {pid} runs another {path} than the one on the disk", restart)


def _words(pid: int) -> list[str]:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def _doors(layout: Layout, subject: str, spec: Spec) -> Iterator[Drift]:
    restart = f"hftctl restart {subject} -p {layout.name}"
    for name, socket in spec["process"].get("listens", {}).items():
        if not _listens(layout, socket):
            yield Drift(subject, "door", f"its socket {socket} ({name}) is gone: nobody new can reach it", restart)
    if port := drift_servers.port(subject, spec):
        strangers = [pid for pid in owners(port) if not _of_ours(layout, pid)]
        for pid in strangers:
            yield Drift(
                subject, "door", f"port {port} is also listened on by {program(pid)} (pid {pid})", f"kill {pid}"
            )


def _listens(layout: Layout, address: str) -> bool:
    if is_tcp(address):
        return bool(owners(host_and_port(address)[1]))
    path = layout.run / address
    return path.exists() and stat.S_ISSOCK(path.stat().st_mode)


def _of_ours(layout: Layout, pid: int) -> bool:
    where = working_directory(pid)
    return where is not None and where.is_relative_to(layout.root.resolve())


def _strangers(layout: Layout, records: Sequence[Record]) -> Iterator[Drift]:
    """Processes of our programs in our folder that nobody looks after: started by hand, or left behind."""
    root = layout.root.resolve()
    own = control.supervisor_identity(layout)
    known = {own.pid} if own else set()
    for record in records:
        spec = standing.read(standing.spec_file(layout, record.component)) or {}
        wanted: Mapping[str, str] = spec.get("process", {})
        folder = (layout.run / wanted["folder"]).resolve() if wanted.get("folder") else None
        known |= {
            record.identity.pid,
            *members(record.identity.pid, layout.run.resolve(), folder, wanted.get("program", "")),
        }
    for pid in processes():
        where = working_directory(pid)
        if pid in known or pid == os.getpid() or where is None or not where.is_relative_to(root) or facts(pid) is None:
            continue
        env, words = environment(pid), _words(pid)
        if EXEC_VARIABLE in env:
            continue  # a person's, and recorded
        marked = env.get(COMPONENT_VARIABLE, "").startswith(f"{root}:")
        if marked or program(pid) in SERVERS or any(word.startswith(("stack.", "hftctl.targets.")) for word in words):
            said = shlex.join(words)[:SHOWN_WORDS]
            yield Drift("supervisor", "process", f"pid {pid} is looked after by nobody: {said}", f"kill {pid}")


def _code(layout: Layout, release: Release) -> Iterator[Drift]:
    """What is installed is another code than the recorded one: the next start of a component would load it."""
    for package, digest in code_artifacts().items():
        if (recorded := release.artifacts.get(package)) != digest:
            said = f"the code of {package} on the disk is {digest[:12]}, its revision was {str(recorded)[:12]}"
            yield Drift("code", "program", said, "hftctl deploy PROFILE")


def _secrets(layout: Layout) -> Iterator[Drift]:
    wanted = {layout.secrets: 0o700} | dict.fromkeys(sorted(layout.secrets.glob("*")), 384)
    for path, mode in wanted.items():
        try:
            found = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            continue
        if found & ~mode:
            shown = path.relative_to(layout.root)
            yield Drift(
                "secrets",
                "rights",
                f"{shown} has mode {found:04o}, others may look",
                f"chmod {mode:o} {shlex.quote(str(path))}",
            )
