"""Requests to the public door, with errors that say what was asked and what came back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from hftctl.errors import Failed, NotFound

RETRY_CODES = ("busy", "engine_unavailable", "too_many_held", "stopping", "not_ready", "outcome_unknown")
RETRY_S = 0.1
SHOWN_CHARACTERS = 200


class Door:
    """A client of the HTTP routes. Requests carry ids, so all of them may be sent again."""

    def __init__(self, endpoint: str, *, api_key: str | None, timeout_s: float = 5.0) -> None:
        import httpx  # takes longer than all of our start; who needs no request does not pay for it

        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.endpoint = endpoint
        self._httpx = httpx
        self._client = httpx.Client(base_url=endpoint, headers=headers, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def ask(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, params: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON object. Raises NotFound when nobody answers, Failed when what came is no JSON object."""
        try:
            answer = self._client.request(method, path, json=body, params=params)
        except self._httpx.HTTPError as error:
            raise NotFound(f"{method} {self.endpoint}{path}: {type(error).__name__}: {error}") from error
        try:
            read = answer.json()
        except ValueError as error:
            raise Failed(
                f"{method} {path}: {answer.status_code} {answer.text[:SHOWN_CHARACTERS]!r}, no JSON"
            ) from error
        if not isinstance(read, dict):
            raise Failed(f"{method} {path}: {answer.status_code} with a JSON {type(read).__name__}, not an object")
        return answer.status_code, read

    def ask_until(
        self, deadline: float, method: str, path: str, *, body: Mapping[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """The same, sent again while the answer is one that passes, until a monotonic time."""
        while True:
            status, read = self.ask(method, path, body=body)
            if read.get("code") not in RETRY_CODES or time.monotonic() >= deadline:
                return status, read
            time.sleep(RETRY_S)


def refusal(tried: str, status: int, read: Mapping[str, Any]) -> Failed:
    said = f"{read.get('code', 'no code')}: {read.get('message', str(dict(read))[:SHOWN_CHARACTERS])}"
    return Failed(f"{tried}: {status} {said}")
