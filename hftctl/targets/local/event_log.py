"""What happened to the components and who did it, as lines of two logs that are there anyway.

`logs/supervisor.log` says what the supervisor saw; `logs/hftctl.log` what a person did beside the rollouts, which have
their own journal. A line is an event when its fields name one. Both rotate like all logs, so what they hold is bounded.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hftctl.targets.base import Event
from hftctl.targets.local.tail import LINE_BYTES_MAX, Tail

SUPERVISOR = "supervisor.log"
ACTIONS = "hftctl.log"


def write(path: Path, level: str, writer: str, message: str, fields: Mapping[str, Any]) -> None:
    """One line, whole or not at all: a single write, behind everybody else's."""
    line = line_of(level, writer, message, fields)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


def line_of(level: str, writer: str, message: str, fields: Mapping[str, Any]) -> bytes:
    now = time.time()
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1_000_000):06d}Z",
        "level": level,
        "component": writer,
        "message": message,
        "fields": dict(fields),
    }
    return json.dumps(line).encode()[: LINE_BYTES_MAX - 1] + b"\n"


def note(logs: Path, event: str, component: str, message: str, actor: str) -> None:
    """Of what a person did. Raises OSError where nothing can be written."""
    write(logs / ACTIONS, "info", "hftctl", message, {"event": event, "component": component, "actor": actor})


class Events:
    """Events of both logs; each call of `new` gives those since the last one, each log in its own order."""

    def __init__(self, logs: Path) -> None:
        self._tails = [Tail(logs / name) for name in (SUPERVISOR, ACTIONS)]

    def new(self) -> Iterator[Event]:
        for tail in self._tails:
            for text in tail.texts():
                if (event := event_of(text)) is not None:
                    yield event

    def close(self) -> None:
        for tail in self._tails:
            tail.close()


def event_of(text: str) -> Event | None:
    try:
        line = json.loads(text)
        fields = dict(line["fields"])
        moment = datetime.fromisoformat(line["time"])
        kind, component, actor = fields.pop("event"), fields.pop("component"), fields.pop("actor", "supervisor")
    except (ValueError, KeyError, TypeError):
        return None  # an ordinary line, or one that a full disk cut off
    time_ns = int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
    return Event(time_ns, kind, component, line["message"].removeprefix(f"{component}: "), actor, fields)
