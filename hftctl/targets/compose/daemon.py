"""The Docker engine we talk to: DOCKER_HOST, else the current Docker context, as `docker` itself chooses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import requests
from docker.context import ContextAPI
from docker.errors import APIError, DockerException
from docker.errors import NotFound as Missing

from hftctl.errors import Failed, NotFound
from hftctl.targets import unix
from hftctl.targets.compose import ssh
from hftctl.targets.compose.discovery import CHOOSE

TIMEOUT_S = 60.0
DEFAULT = "unix:///var/run/docker.sock"
SSH = "ssh://"

__all__ = ["Missing", "address", "connect", "machine", "saying"]


def address() -> str:
    if given := os.environ.get("DOCKER_HOST"):
        return given
    context = ContextAPI.get_current_context()
    return str(context.Host) if context is not None and context.Host else DEFAULT


def connect() -> Any:
    """An API client. Raises NotFound when no engine answers."""
    where = address()
    behind: ssh.Tunnel | None = None
    try:
        if where.startswith("unix://"):
            unix.connect(
                Path(where.removeprefix("unix://")), TIMEOUT_S
            ).close()  # the library tells it at greater length
        if where.startswith(SSH):
            behind = ssh.tunnel(where)
        client = docker.APIClient(base_url=behind.address if behind else where, version="auto", timeout=TIMEOUT_S)
    except (DockerException, requests.RequestException, OSError) as error:
        raise NotFound(
            f"cannot reach a Docker engine at {where}: {(behind and behind.why()) or _reason(error)}",
            hint=behind.hint if behind else CHOOSE,
        ) from error
    return client


def machine() -> str:
    """The engine's, as clients here reach it; empty where it is this one."""
    where = address()
    if where.startswith(SSH):
        return ssh.hostname(where)
    parts = urlsplit(where)
    return "" if parts.scheme in ("unix", "npipe", "") else parts.hostname or ""


@contextmanager
def saying(what: str) -> Iterator[None]:
    """Turn what Docker answers into a sentence: what was tried, and why not."""
    try:
        yield
    except APIError as error:
        raise Failed(f"cannot {what}: {error.explanation or error}") from error
    except (requests.RequestException, DockerException) as error:
        raise NotFound(f"cannot {what}: the Docker engine at {address()} does not answer: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The innermost cause: what wraps it only repeats addresses."""
    while inner := next((one for one in (error.__cause__, *error.args) if isinstance(one, BaseException)), None):
        error = inner
    return str(getattr(error, "strerror", None) or error)
