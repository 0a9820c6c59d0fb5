"""Requests to the public door of a deployment, with the exit codes of `order`: refused 7, outcome unknown 8."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hftctl.errors import Failed, HftctlError, Inconclusive, NotFound, Refused
from hftctl.targets.base import Target

KEY_VARIABLE = "HFTCTL_API_KEY"


@dataclass(frozen=True)
class Trader:
    """Who asks, and where."""

    target: Target
    api_key: str | None

    def ask(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, params: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The JSON of a request that was done. Raises what its failure means for somebody who trades."""
        import httpx

        from hftctl.checks.door import Door

        changes = method != "GET"
        try:
            with Door(self.target.endpoint(), api_key=self.api_key) as door:
                status, read = door.ask(method, path, body=body, params=params)
        except (NotFound, Failed) as error:
            never_sent = isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout)
            if never_sent or not changes:
                raise NotFound(
                    f"no answer: {error.message}", hint=f"hftctl status -p {self.target.deployment}"
                ) from error
            raise _unknown(error.message) from error
        if status in (200, 201):
            return read
        raise _meaning(f"{method} {path}", status, read)


def trader(name: str | None) -> Trader:
    """With the key in HFTCTL_API_KEY, else the deployment's own operator key, where one is needed at all."""
    from hftctl.operations.standing import open_standing

    target = open_standing(name)
    return Trader(target, os.environ.get(KEY_VARIABLE) or target.operator_key())


def _meaning(tried: str, status: int, read: Mapping[str, Any]) -> HftctlError:
    field = f" ({read['field']})" if read.get("field") else ""
    said = f"{read.get('code', status)}{field}: {read.get('message', 'no reason was given')}"
    if read.get("outcome") == "unknown" or read.get("code") == "outcome_unknown" or status == 502:
        return _unknown(said)
    if status in (401, 403, 404):
        given = f"{KEY_VARIABLE} is set: without it the deployment's own operator key is used"
        hint = "" if status == 404 else given if os.environ.get(KEY_VARIABLE) else f"set {KEY_VARIABLE}"
        return NotFound(f"{tried}: {said}", hint=hint)
    if status >= 500 and status not in (503, 504):
        return Failed(f"{tried}: {status} {said}")
    return Refused(f"{tried} was refused: {said}")


def _unknown(said: str) -> Inconclusive:
    return Inconclusive(
        f"the outcome is unknown, it may have been done: {said}",
        hint="ask for it: hftctl order show --client-order-id ID --account NAME; the same id is safe to send again",
    )
