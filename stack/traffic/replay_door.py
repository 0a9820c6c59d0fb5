"""One connection to the stack's door that answers every request, or says why it cannot.

Requests carry ids, so that one without an answer is sent again: the answer then is the original's.
"""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 60.0
PAUSE_S = 0.1
TIMEOUT_S = 30.0
AGAIN = {429, 502, 504}
AGAIN_CODES = {"engine_unavailable", "too_many_held", "not_ready", "stopping", "history_unavailable"}


class Unanswered(Exception):
    """No definite answer within PATIENCE_S."""


class Door:
    def __init__(self, url: str, api_key: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address of the form http://127.0.0.1:8080")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_S)
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self.requests = 0
        self.sent_again = 0

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and document; raises Unanswered."""
        data = None if body is None else json.dumps(body)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status, document, why = 0, None, ""
            self.requests += 1
            try:
                self._connection.request(method, path, data, self._headers)
                response = self._connection.getresponse()
                status, document = response.status, json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._connection.close()  # the next request connects anew
                why = f"{type(error).__name__}: {error}"
            if status and not passing(status, document):
                return status, document
            if time.monotonic() > deadline:
                raise Unanswered(f"{method} {path}: no definite answer in {PATIENCE_S:.0f} s: {why or document}")
            self.sent_again += 1
            time.sleep(PAUSE_S)


def passing(status: int, document: Any) -> bool:
    """Whether this is an answer that another try may change."""
    return status in AGAIN or (status == 503 and isinstance(document, dict) and document.get("code") in AGAIN_CODES)
