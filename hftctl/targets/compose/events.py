"""What happened to the containers, as long as Docker remembers it, and what people did, which is kept in the volume of records."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from hftctl.targets.base import Event
from hftctl.targets.compose import names
from hftctl.targets.compose.daemon import saying
from hftctl.targets.compose.store import Store
from hftctl.targets.local.event_log import event_of, line_of

NOTES = "state/hftctl.log"
NOTES_BYTES_MAX = 1 << 20
# Docker's word -> ours. An `exec` of a health check every few seconds is no event.
TOLD = {
    "start": "started", "die": "died", "oom": "out-of-memory", "pause": "paused", "unpause": "continued", "kill": "signalled",
    "health_status: unhealthy": "unhealthy", "health_status: healthy": "healthy",
}  # fmt: skip


def note(store: Store, event: str, component: str, message: str, actor: str) -> None:
    """Raises OSError where nothing can be written."""
    line = line_of("info", "hftctl", message, {"event": event, "component": component, "actor": actor})
    there = store.read(NOTES) or b""
    with store.writer() as keeper:
        if len(there) > NOTES_BYTES_MAX:
            kept = there[-NOTES_BYTES_MAX // 2 :].partition(b"\n")[2]
            keeper.write(NOTES, kept + line, mode=0o600)
        else:
            keeper.append(NOTES, line, len(there))


class Events:
    def __init__(self, api: Any, deployment: str, store: Store) -> None:
        self._api, self._deployment, self._store = api, deployment, store
        self._since_ns = 0
        self._notes = 0

    def new(self) -> Iterator[Event]:
        yield from self._docker()
        data = self._store.read(NOTES) or b""
        lines, self._notes = data[self._notes :] if len(data) >= self._notes else data, len(data)
        for line in lines.decode(errors="replace").splitlines():
            if (event := event_of(line)) is not None:
                yield event

    def close(self) -> None:
        return

    def _docker(self) -> Iterator[Event]:
        filters = {"type": "container", "label": [f"{names.DEPLOYMENT}={self._deployment}", f"{names.ROLE}=component"]}
        with saying(f"read the events of '{self._deployment}'"):
            told = list(self._api.events(since=self._since_ns / 1e9, until=time.time(), filters=filters, decode=True))
        for one in told:
            if one["timeNano"] <= self._since_ns or one["Action"] not in TOLD:
                continue
            self._since_ns = one["timeNano"]
            attributes = one["Actor"]["Attributes"]
            fields = {key: attributes[key] for key in ("exitCode", "signal", "image") if key in attributes}
            said = ", ".join(f"{key} {value}" for key, value in fields.items())
            yield Event(one["timeNano"], TOLD[one["Action"]], attributes[names.COMPONENT],
                        f"{TOLD[one['Action']]}: {said}", "docker", fields)  # fmt: skip
