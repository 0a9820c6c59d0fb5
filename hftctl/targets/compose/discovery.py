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
TIMEOUT_S = 2.0


def deployments() -> list[str]:
    """Empty where no engine answers: then none can be worked on either, and whoever names one is told why."""
    return sorted({one["Labels"].get(names.DEPLOYMENT, "") for one in _containers("state")} - {""})


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
    where = os.environ.get("DOCKER_HOST", "")
    if not where and not _has_context():
        if not Path(SOCKET.removeprefix("unix://")).exists():
            return None
        where = SOCKET
    if where.startswith("unix://"):
        return _get_unix(where.removeprefix("unix://"), path)
    from hftctl.targets.compose.daemon import connect  # the library takes a quarter of a second to load

    try:
        api = connect()
        return api._result(api._get(f"{api.base_url}/v{api._version}{path}"), True)
    except HftctlError:
        return None


def _get_unix(socket_path: str, path: str) -> Any:
    client = http.client.HTTPConnection("docker", timeout=TIMEOUT_S)
    client.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.sock.settimeout(TIMEOUT_S)
        client.sock.connect(socket_path)
        client.request("GET", path)
        answer = client.getresponse()
        return json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        client.close()


def _has_context() -> bool:
    """Whether `docker context use` chose another engine than the default one."""
    folder = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    try:
        return bool(json.loads((folder / "config.json").read_bytes()).get("currentContext"))
    except (OSError, ValueError):
        return False
