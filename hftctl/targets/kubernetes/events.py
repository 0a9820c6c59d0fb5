"""What happened to the pods, as long as the cluster remembers it (an hour), and what people did, which is kept among the records."""

from __future__ import annotations

from collections.abc import Iterator

from hftctl.targets.base import Event
from hftctl.targets.kubernetes import causes, names
from hftctl.targets.kubernetes.api import Api
from hftctl.targets.kubernetes.store import Store
from hftctl.targets.local.event_log import event_of, line_of

NOTES_KEY = "hftctl.log"
NOTES_BYTES_MAX = 256 << 10


def note(store: Store, event: str, component: str, message: str, actor: str) -> None:
    line = line_of("info", "hftctl", message, {"event": event, "component": component, "actor": actor}).decode()
    there = "".join(f"{one}\n" for one in notes(store)) + line
    if len(there) > NOTES_BYTES_MAX:
        there = there[-NOTES_BYTES_MAX // 2 :].partition("\n")[2]
    store.write("ConfigMap", names.NOTES, data={NOTES_KEY: there})


def notes(store: Store) -> list[str]:
    found = store.read("ConfigMap", names.NOTES) or {}
    return str(found.get("data", {}).get(NOTES_KEY, "")).splitlines()


class Events:
    def __init__(self, api: Api, deployment: str, store: Store) -> None:
        self._api, self._deployment, self._store = api, deployment, store
        self._seen: set[tuple[str, str]] = set()
        self._notes = 0

    def new(self) -> Iterator[Event]:
        yield from self._cluster()
        lines = notes(self._store)
        fresh, self._notes = lines[self._notes :] if len(lines) >= self._notes else lines, len(lines)
        for line in fresh:
            if (event := event_of(line)) is not None:
                yield event

    def close(self) -> None:
        return

    def _cluster(self) -> Iterator[Event]:
        for one in sorted(self._api.list("Event", names.namespace(self._deployment)), key=causes.moment):
            key = one["metadata"]["uid"], one["metadata"]["resourceVersion"]
            if key in self._seen:
                continue
            self._seen.add(key)
            about = one["involvedObject"]
            fields = {"object": f"{about.get('kind')} {about.get('name')}", "count": one.get("count", 1)}
            actor = (one.get("source") or {}).get("component") or one.get("reportingComponent") or "kubernetes"
            yield Event(
                int(causes.moment(one) * 1e9),
                str(one.get("reason", "")).lower(),
                _component(str(about.get("name", ""))),
                f"{about.get('name')}: {one.get('message', '')}",
                actor,
                fields,
            )


def _component(name: str) -> str:
    """`gateway-7b9d5c-x2x4z` is of gateway, `engine-0-0` of engine-0."""
    words = name.split("-")
    numbered = len(words) > 1 and words[1].isdigit() and words[0] in ("postgres", "engine", "persister", "schema")
    return f"{words[0]}-{words[1]}" if numbered else words[0]
