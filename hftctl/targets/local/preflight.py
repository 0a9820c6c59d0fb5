"""What would stop a deploy, found before anything is written: ports, disk, programs, an older database, long paths."""

from __future__ import annotations

import shlex
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hftctl.errors import HftctlError
from hftctl.paths import Layout
from hftctl.release import Release
from hftctl.targets.base import Finding
from hftctl.targets.local import control
from hftctl.targets.local.binaries import NGINX, POSTGRES, VALKEY, Binary, resolve
from hftctl.targets.local.identity import environment, processes, program, working_directory
from hftctl.targets.local.process import COMPONENT_VARIABLE

DISK_MINIMUM_BYTES = 1 << 30
LOOPBACK = "127.0.0.1"
SERVERS = {"nginx", "postgres", "valkey-server", "redis-server"}


def findings(layout: Layout, release: Release) -> list[Finding]:
    return [*_programs(layout), *_ports(layout, release.profile), *_disk(layout, release.profile), *_rights(layout)]


def _programs(layout: Layout) -> Iterator[Finding]:
    for server in (POSTGRES, VALKEY, NGINX):
        try:
            binary = resolve(server)
        except HftctlError as error:
            yield Finding("problem", server.title, error.message, error.hint)
            continue
        yield Finding("ok", server.title, f"{server.title} {binary.version} at {binary.path}")
        if server is POSTGRES:
            yield from _database(layout, binary)


def _database(layout: Layout, binary: Binary) -> Iterator[Finding]:
    data = layout.postgres(0)
    try:
        made_by = (data / "PG_VERSION").read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return
    if made_by == str(binary.major):
        return
    yield Finding(
        "problem",
        "postgres-0",
        f"{data} was made by PostgreSQL {made_by}, and {binary.path} is PostgreSQL {binary.major}, which cannot read it",
        f"dump it with the old programs and restore it into a new folder: HFTCTL_PG_BIN=FOLDER_OF_{made_by} hftctl start "
        f"-p {layout.name}; pg_dump -Fc -h {LOOPBACK} -p PORT -U hft hft > hft.dump; hftctl stop -p {layout.name}; "
        f"{shlex.join(['mv', str(data), f'{data}.{made_by}'])}; hftctl deploy {layout.name}; "
        f"pg_restore -h {LOOPBACK} -p PORT -U hft -d hft --clean hft.dump",
    )


def _ports(layout: Layout, profile: Mapping[str, Any]) -> Iterator[Finding]:
    wanted = [(profile["bind"], profile["ports"]["http"], "http")]
    wanted += [(LOOPBACK, profile["ports"][name], name) for name in ("postgres", "redis")]
    if profile.get("binary_door", False):
        wanted += [
            (profile["bind"], profile["ports"]["binary"] + n, "binary") for n in range(len(profile["partitions"]))
        ]
    taken = []
    for address, port, name in wanted:
        error = cannot_bind(address, port)
        if not error:
            yield Finding("ok", f"ports.{name}", f"{address}:{port} is free")
            continue
        holders = owners(port)
        if holders and all(_ours(pid, layout) for pid in holders):
            yield Finding("ok", f"ports.{name}", f"{address}:{port} is ours already")
            continue
        strangers = [pid for pid in holders if not _ours(pid, layout)]
        who = ", ".join(f"{_name(pid)} (pid {pid})" for pid in strangers) or "a process of another user"
        held = f"is in use by {who}" if error == "in use" else f"cannot be used: {error}"
        stop = f"stop it (pid {strangers[0]})" if strangers else f"find it with: ss -ltnp 'sport = :{port}'"
        if other := next(filter(None, map(_deployment, strangers)), None):  # ended by hand, it would be started again
            held += f", of the deployment '{other.name}' in {other.parent}"
            stop = f"stop that: HFTCTL_HOME={shlex.quote(str(other.parent))} hftctl stop -p {other.name}"
        taken.append((name, f"port {port} ({name}) {held}", stop))
    for name, message, stop in taken:  # one deployment in the way holds all of them: one thing to do, said once
        keys = dict.fromkeys(f"ports.{other}" for other, _, same in taken if same == stop)
        yield Finding("problem", f"ports.{name}", message, f"{stop}, or set {', '.join(keys)} in the profile")


def cannot_bind(address: str, port: int) -> str:
    """Why not; empty when it can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that end are no owner
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            return "in use" if error.errno in {98, 48} else str(error.strerror)
    return ""


def owners(port: int) -> list[int]:
    """Processes that listen on a TCP port, as far as we may see."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for words in map(str.split, rows):
            if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{words[9]}]")
    return [pid for pid in processes() if inodes & _sockets(pid)]


def _sockets(pid: int) -> set[str]:
    found = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found.add(str(entry.readlink()))
            except OSError:
                continue  # closed meanwhile
    except OSError:
        return found  # gone, or another user's
    return found


def _ours(pid: int, layout: Layout) -> bool:
    return _root(pid) == layout.root.resolve()


def _deployment(pid: int) -> Path | None:
    """The folder of the deployment that a process belongs to."""
    root = _root(pid)
    return root if root is not None and (root / "rollout.journal").exists() else None


def _root(pid: int) -> Path | None:
    """The folder of the deployment whose component or supervisor this is, as far as it tells."""
    if started_by := environment(pid).get(COMPONENT_VARIABLE, ""):
        return Path(started_by.rpartition(":")[0])
    where = working_directory(pid)
    if where is None:
        return None
    supervisor = control.supervisor_identity(Layout(where.parent))  # it holds the engines' listening sockets too
    if supervisor is not None and supervisor.pid == pid:
        return where.parent
    if program(pid) in SERVERS:  # nginx writes its title over its environment
        return next((folder for folder in where.parents if (folder / "rollout.journal").exists()), None)
    return None


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "a process"


def _disk(layout: Layout, profile: Mapping[str, Any]) -> Iterator[Finding]:
    place = next(folder for folder in (layout.root, *layout.root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    needed = DISK_MINIMUM_BYTES + 2 * profile["engine"]["segment_bytes"] * len(profile["partitions"])
    if free < needed:
        yield Finding(
            "problem",
            "disk",
            f"{place} has {free >> 20} MiB free, and the journal and the database need {needed >> 20} MiB to begin with",
            "make room, or set HFTCTL_HOME to a folder on a larger disk",
        )
    else:
        yield Finding("ok", "disk", f"{free >> 20} MiB free in {place}")


def _rights(layout: Layout) -> Iterator[Finding]:
    place = next(folder for folder in (layout.root, *layout.root.parents) if folder.exists())
    try:
        tempfile.TemporaryFile(
            dir=place
        ).close()  # rights alone say little: root has all, in /proc and on read-only disks too
    except OSError as error:
        yield Finding(
            "problem",
            "rights",
            f"{place} cannot be written to: {error.strerror}",
            "set HFTCTL_HOME to a folder of yours, or run as its owner",
        )
