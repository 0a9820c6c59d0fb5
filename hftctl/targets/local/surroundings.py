"""Where a command that a person runs beside a component stands: the component's folder, its variables, its logins.

A secret is never a word of the command: psql reads PGPASSFILE, a file of ours that only we can read. valkey-cli knows no
such file, so its password goes through the environment, which only the same user can read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hftctl.errors import NotFound
from hftctl.paths import Layout
from hftctl.plan.change import Spec
from hftctl.targets import relay
from hftctl.targets.base import Surroundings
from hftctl.targets.local import components, credentials, nginx, services, standing
from hftctl.targets.local.binaries import NGINX, POSTGRES, VALKEY, find

EXEC_VARIABLE = "HFTCTL_EXEC"  # says that a process is a person's, whatever it runs and wherever it stands
OF_THE_CALLER = ("HOME", "TERM", "COLORTERM", "NO_COLOR", "USER", "LOGNAME")
SERVERS = {"postgres": POSTGRES, "redis": VALKEY, "nginx": NGINX}


def of(layout: Layout, component: str) -> Surroundings:
    spec = standing.read(standing.spec_file(layout, component))
    if spec is None or "process" not in spec:
        raise NotFound(
            f"'{layout.name}' has no process called {component}",
            hint=f"see its components: hftctl status -p {layout.name}",
        )
    kind = components.kind(component)
    env = {name: os.environ[name] for name in OF_THE_CALLER if name in os.environ}
    env |= {"LANG": "C.UTF-8", "TZ": "UTC", **spec["process"].get("env", {})}
    env |= dict(_logins(layout, kind, spec))
    env |= {"PATH": _path(kind), EXEC_VARIABLE: f"{layout.root}:{component}"}
    folder = layout.run / spec["process"].get("folder", "")
    return Surroundings(folder.resolve(), env)


def connection(profile: Mapping[str, Any], component: str) -> Sequence[str]:
    kind, ports = components.kind(component), profile["ports"]
    where = {"postgres": ("127.0.0.1", ports["postgres"]), "redis": ("127.0.0.1", ports["redis"])}
    if kind == "nginx":
        door = urlsplit(nginx.endpoint(profile))
        where[kind] = (door.hostname or "", door.port)
    if kind not in where:
        raise NotFound(f"{component} listens on no port that leads on: engine, gateways and persister meet at Unix sockets",
                       hint="orders go through nginx: hftctl forward nginx")  # fmt: skip
    return sys.executable, "-I", "-S", relay.__file__, *map(str, where[kind])


def _logins(layout: Layout, kind: str, spec: Spec) -> Iterator[tuple[str, str]]:
    settings: Mapping[str, Any] = spec.get("settings", {})
    if kind == "postgres":
        yield from _postgres(layout, settings["settings"]["port"])
    elif "postgres" in settings:
        yield from _postgres(layout, settings["postgres"]["port"])
    if kind == "redis":
        yield from _redis(
            layout, next(line.split()[1] for line in spec["files"]["redis.conf"] if line.startswith("port "))
        )
    elif "redis" in settings:
        yield from _redis(layout, settings["redis"]["port"])


def _postgres(layout: Layout, port: object) -> Iterator[tuple[str, str]]:
    yield "PGHOST", "127.0.0.1"
    yield "PGPORT", str(port)
    yield "PGUSER", services.DATABASE_USER
    yield "PGDATABASE", services.DATABASE
    yield "PGPASSFILE", str(credentials.passfile(layout))


def _redis(layout: Layout, port: object) -> Iterator[tuple[str, str]]:
    yield "VALKEY_HOST", "127.0.0.1"
    yield "VALKEY_PORT", str(port)
    yield "REDISCLI_AUTH", credentials.read(layout, services.REDIS_PASSWORD)


def _path(kind: str) -> str:
    """The component's own programs first, then Python's, the system's, and what the caller has."""
    folders = [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
    if kind in SERVERS:
        folders.insert(0, str(find(SERVERS[kind]).parent))
    folders += os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys(filter(None, folders)))
