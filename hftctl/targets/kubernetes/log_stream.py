"""What the pods say, as one stream in the order of time. The kubelet keeps it as long as the pod is there, and of a container that died
what the one before it said.
"""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from hftctl.errors import HftctlError
from hftctl.targets.base import LogLine, Past, whole
from hftctl.targets.kubernetes import events, names
from hftctl.targets.kubernetes.api import Api, Object
from hftctl.targets.kubernetes.store import Store
from hftctl.targets.local import log_stream as text
from hftctl.targets.local.event_log import ACTIONS

LOOK_S = 1.0
OPERATORS = ACTIONS.partition(".")[0]


def stream(
    api: Api,
    store: Store,
    deployment: str,
    components: Sequence[str],
    *,
    since_s: float | None,
    follow: bool,
    past: Past = whole,
) -> Iterator[LogLine]:
    earliest_ns = time.time_ns() - int(since_s * 1e9) if since_s is not None else 0
    last: dict[str, int] = {}
    there = [_past(api, pod, earliest_ns, last) for pod in _pods(api, deployment, components)]
    if not components or OPERATORS in components:
        there.append(_notes(store, earliest_ns))
    yield from past(heapq.merge(*there, key=lambda line: line.time_ns))
    if follow:
        yield from _follow(api, deployment, components, last)


def _pods(api: Api, deployment: str, components: Sequence[str]) -> list[Object]:
    found = api.list("Pod", names.namespace(deployment), names.selector(deployment))
    return [pod for pod in found if not components or _subject(pod) in components]


def _subject(pod: Object) -> str:
    return str(pod["metadata"]["labels"].get(names.COMPONENT, ""))


def _past(api: Api, pod: Object, earliest_ns: int, last: dict[str, int]) -> Iterator[LogLine]:
    meta = pod["metadata"]
    last[meta["uid"]] = earliest_ns
    died = any(one.get("restartCount") for one in pod["status"].get("containerStatuses", []))
    for previous in (True, False) if died else (False,):
        try:
            for line in api.logs(meta["name"], meta["namespace"], since=_stamp(earliest_ns), previous=previous):
                told = _line(_subject(pod), line)
                if told is not None and told.time_ns >= earliest_ns:
                    last[meta["uid"]] = max(told.time_ns, last[meta["uid"]])
                    yield told
        except HftctlError:
            continue  # not started yet, or gone since


def _notes(store: Store, earliest_ns: int) -> Iterator[LogLine]:
    for line in events.notes(store):
        time_ns, shown = text.parse(line)
        if time_ns >= earliest_ns:
            yield LogLine(OPERATORS, time_ns, shown)


def _follow(api: Api, deployment: str, components: Sequence[str], last: dict[str, int]) -> Iterator[LogLine]:
    """Also of pods that come later, from their first line on. One whose connection breaks goes on where it ended."""
    news: queue.Queue[LogLine] = queue.Queue(10_000)
    followed: dict[str, threading.Thread] = {}
    while True:
        try:
            pods = _pods(api, deployment, components)
        except HftctlError:
            pods = []  # the API server is away: it comes back, and nothing is lost meanwhile
        for pod in pods:
            uid = pod["metadata"]["uid"]
            if not (uid in followed and followed[uid].is_alive()) and pod["status"].get("phase") == "Running":
                followed[uid] = threading.Thread(target=_read, args=(api, pod, last, news), daemon=True)
                followed[uid].start()
        deadline = time.monotonic() + LOOK_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                yield news.get(timeout=left)
            except queue.Empty:
                break


def _read(api: Api, pod: Object, last: dict[str, int], news: queue.Queue[LogLine]) -> None:
    meta = pod["metadata"]
    since_ns = last.get(meta["uid"], 0)
    try:
        for line in api.logs(meta["name"], meta["namespace"], since=_stamp(since_ns), follow=True):
            told = _line(_subject(pod), line)
            if told is not None and told.time_ns > last.get(meta["uid"], 0):
                last[meta["uid"]] = told.time_ns
                news.put(told)
    except (HftctlError, OSError):
        return  # who looks for pods next starts again


def _stamp(time_ns: int) -> str:
    """Whole seconds: the API server leaves fractions away. What comes twice by that is left out by its own time."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time_ns else ""


def _line(subject: str, data: bytes) -> LogLine | None:
    """The runtime's own time comes first, to the nanosecond: it tells lines of one container apart."""
    stamp, _, said = data.decode(errors="replace").partition(" ")
    whole_s, _, fraction = stamp.rstrip("Z").partition(".")
    try:
        seconds = int(datetime.fromisoformat(whole_s).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
    _, shown = text.parse(said)
    return LogLine(subject, seconds * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or 0), shown)
