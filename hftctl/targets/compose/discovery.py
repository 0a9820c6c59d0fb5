"""Which deployments stand on the Docker engine that is chosen now. Asked for by every command that names none, so it is cheap.

A deployment stands there as long as the container that its records are read from is there.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hftctl.errors import HftctlError
from hftctl.targets.compose import names

SOCKET = "unix:///var/run/docker.sock"
CHOOSE = "start Docker, or choose another one: docker context use NAME, or DOCKER_HOST=..."
TIMEOUT_S = 10.0  # a busy engine takes seconds, and "none stands" would be wrong then


class Silent(Exception):
    """The engine that is chosen does not answer: where it is, and why not."""

    def __init__(self, message: str, hint: str = CHOOSE) -> None:
        super().__init__(message)
        self.hint = hint


def deployments() -> list[str]:
    """Empty where no engine answers: then none can be worked on either, and whoever names one is told why."""
    return sorted({one["Labels"].get(names.DEPLOYMENT, "") for one in _containers("state")} - {""})


def silent() -> Silent | None:
    """Why the engine that is chosen does not answer; None where it does, or there is none."""
    try:
        _ask("/version")
    except Silent as error:
        return error
    return None


def kept() -> list[str]:
    """Names of which only data is left."""
    filters = json.dumps({"label": [names.DEPLOYMENT]})
    found = _get(f"/volumes?filters={quote(filters)}")
    labels = [one.get("Labels") or {} for one in (found or {}).get("Volumes") or []]
    return sorted({one[names.DEPLOYMENT] for one in labels if names.DEPLOYMENT in one})


def _containers(role: str) -> list[dict[str, Any]]:
    filters = json.dumps({"label": [names.DEPLOYMENT, f"{names.ROLE}={role}"]})
    found: list[dict[str, Any]] = _get(f"/containers/json?all=1&filters={quote(filters)}") or []
    return found


def _get(path: str) -> Any:
    try:
        return _ask(path)
    except Silent:
        return None


def _ask(path: str) -> Any:
    where = os.environ.get("DOCKER_HOST", "")
    if not where and not _has_context():
        if not Path(SOCKET.removeprefix("unix://")).exists():
            return None
        where = SOCKET
    if where.startswith("unix://"):
        return _ask_unix(where, path)
    from hftctl.targets.compose.daemon import connect  # the library takes a quarter of a second to load

    try:
        api = connect()
        return api._result(api._get(f"{api.base_url}/v{api._version}{path}"), True)
    except HftctlError as error:
        raise Silent(error.message, error.hint) from error


def _ask_unix(where: str, path: str) -> Any:
    client = http.client.HTTPConnection("docker", timeout=TIMEOUT_S)
    client.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.sock.settimeout(TIMEOUT_S)
        client.sock.connect(where.removeprefix("unix://"))
        client.request("GET", path)
        answer = client.getresponse()
        return json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Silent(f"cannot reach a Docker engine at {where}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        client.close()


def _has_context() -> bool:
    """Whether `docker context use` chose another engine than the default one."""
    folder = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    try:
        return bool(json.loads((folder / "config.json").read_bytes()).get("currentContext"))
    except (OSError, ValueError):
        return False
