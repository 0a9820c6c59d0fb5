"""How one component is run: what the driver hands to the supervisor, and what the supervisor writes down about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hftctl.targets.local.identity import Identity, alive, environment

COMPONENT_VARIABLE = (
    "HFTCTL_COMPONENT"  # "<deployment folder>:<component>": says whose process it is, whatever was written down
)
DIGEST_VARIABLE = "HFTCTL_DIGEST"
LISTEN_VARIABLE = "HFTCTL_LISTEN_FDS"  # {"link": fd, ...}
READY_VARIABLE = "HFTCTL_READY_FD"  # a byte goes there when a process can take over from the one before it
READY_TOLD, READY_WORKERS = "told", "workers"


@dataclass(frozen=True)
class Process:
    """A process as it shall run. Paths are absolute or relative to `run/`, its working directory."""

    component: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    listens: Mapping[str, str] = field(default_factory=dict)  # name of a listening socket -> its file, or host:port
    stop: tuple[tuple[str, float], ...] = (("SIGTERM", 60.0),)  # signal, seconds to wait; SIGKILL at the end
    reload: str = ""  # signal after which a process with the same argv uses its new configuration; empty: restart
    start_first: bool = False  # two may run at once: the next one takes over before this one ends
    ready: str = READY_TOLD  # how a next one shows that it can take over: it tells, or its workers are there
    listen_as: str = ""  # a variable that names the listening sockets the way the program knows: "3;4;"
    for_good: tuple[int, ...] = ()  # exit statuses that another try would not mend
    program: str = ""  # name of the program that no other component of the deployment runs
    folder: str = ""  # where its processes stand, when not in `run/`
    logs: tuple[str, ...] = ()  # files to rotate
    reopen: str = ""  # signal after which it opens its logs again; empty: it sees a rename by itself
    digest: str = ""  # of the component's whole spec, files included

    def json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def load(data: Mapping[str, Any]) -> Process:
        return Process(
            **{
                **data,
                "argv": tuple(data["argv"]),
                "stop": tuple((str(name), float(wait_s)) for name, wait_s in data.get("stop", [["SIGTERM", 60.0]])),
                "logs": tuple(data.get("logs", ())),
                "for_good": tuple(data.get("for_good", ())),
            }
        )

    def same_program(self, other: Process) -> bool:
        return (self.argv, self.env, self.listens) == (other.argv, other.env, other.listens)


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Record:
    """`run/<component>.json`: the process that runs, so that the next supervisor finds it."""

    component: str
    identity: Identity
    digest: str
    fds: Mapping[str, int]  # of the listening sockets, in the process
    started_ns: int
    restarts: int

    @property
    def alive(self) -> bool:
        return alive(self.identity)

    def json(self) -> dict[str, Any]:
        return asdict(self)


def record_file(run: Path, component: str) -> Path:
    return run / f"{component}.json"


def read_record(run: Path, component: str) -> Record | None:
    try:
        data = json.loads(record_file(run, component).read_bytes())
        return Record(**{**data, "identity": Identity(**data["identity"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None  # half of one cannot be: it is written by rename; one of an older version is of no use


def marker(root: Path, component: str) -> str:
    return f"{root}:{component}"


def record_of(root: Path, component: str, identity: Identity, started_ns: int) -> Record | None:
    """The record of a process whose supervisor was killed before it could write one, from the process's environment."""
    env = environment(identity.pid)
    if env.get(COMPONENT_VARIABLE) != marker(root, component):
        return None
    fds = json.loads(env.get(LISTEN_VARIABLE, "{}"))
    return Record(component, identity, env.get(DIGEST_VARIABLE, ""), fds, started_ns, 0)
