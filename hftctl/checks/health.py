"""Waiting for what the stack says about itself behind its public door."""

from __future__ import annotations

import time

from hftctl.checks.door import Door
from hftctl.errors import Failed, HftctlError, NotFound

POLL_S = 0.05


def wait_ready(door: Door, *, timeout_s: float) -> None:
    """Until GET /health/ready answers 200. Raises Failed with the last answer when the time is up."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            status, read = door.ask("GET", "/health/ready")
            if status == 200:
                return
            last = f"{status} {read.get('message') or read}"
        except (NotFound, Failed) as error:
            last = _sentence(error)
        if time.monotonic() >= deadline:
            raise Failed(f"the stack does not become ready at {door.endpoint}/health/ready in {timeout_s:g} s: {last}")
        time.sleep(POLL_S)


def _sentence(error: HftctlError) -> str:
    return error.message
