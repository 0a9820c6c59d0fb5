"""The engine's admin door: a Unix socket that takes one JSON object per line and answers with one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hftctl.errors import Failed, NotFound
from hftctl.targets.unix import connect

ANSWER_BYTES_MAX = 1 << 20


def ask(path: Path, message: Mapping[str, Any], *, timeout_s: float) -> Mapping[str, Any]:
    """Send one message, return the answer. Raises NotFound when nobody listens or answers in time."""
    try:
        with connect(path, timeout_s) as connection:
            connection.sendall(json.dumps(message).encode() + b"\n")
            data = bytearray()
            while not data.endswith(b"\n") and len(data) < ANSWER_BYTES_MAX:
                piece = connection.recv(65536)
                if not piece:
                    break
                data += piece
    except OSError as error:
        reason = f"no answer in {timeout_s:g} s" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise NotFound(f"cannot reach the engine at {path}: {reason}") from error
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise Failed(f"the engine at {path} closed the connection without a whole answer") from error
    if not isinstance(answer, dict):
        raise Failed(f"the engine at {path} answered {answer!r}, not an object")
    return answer
