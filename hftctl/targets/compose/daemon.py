"""The Docker engine we talk to: DOCKER_HOST, else the current Docker context, as `docker` itself chooses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import requests
from docker.context import ContextAPI
from docker.errors import APIError, DockerException
from docker.errors import NotFound as Missing

from hftctl.errors import Failed, NotFound
from hftctl.targets import unix

TIMEOUT_S = 60.0
DEFAULT = "unix:///var/run/docker.sock"

__all__ = ["Missing", "address", "connect", "saying"]


def address() -> str:
    if given := os.environ.get("DOCKER_HOST"):
        return given
    context = ContextAPI.get_current_context()
    return str(context.Host) if context is not None and context.Host else DEFAULT


def connect() -> Any:
    """An API client. Raises NotFound when no engine answers."""
    where = address()
    try:
        if where.startswith("unix://"):
            unix.connect(
                Path(where.removeprefix("unix://")), TIMEOUT_S
            ).close()  # the library tells it at greater length
        client = docker.APIClient(
            base_url=where, version="auto", timeout=TIMEOUT_S, use_ssh_client=where.startswith("ssh://")
        )
    except (DockerException, requests.RequestException, OSError) as error:
        raise NotFound(
            f"cannot reach a Docker engine at {where}: {_reason(error)}",
            hint="start Docker, or choose another one: docker context use NAME, or DOCKER_HOST=...",
        ) from error
    return client


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
