"""What the containers say, as one stream in the order of time. Docker keeps it as long as the container is there."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from docker.errors import DockerException

from hftctl.targets.base import LogLine, Past, whole
from hftctl.targets.compose.containers import Containers, Found
from hftctl.targets.compose.events import NOTES
from hftctl.targets.compose.store import Store
from hftctl.targets.local import log_stream as text
from hftctl.targets.local.event_log import ACTIONS

LOOK_S = 0.5
OPERATORS = ACTIONS.partition(".")[0]


def stream(
    containers: Containers,
    store: Store,
    components: Sequence[str],
    *,
    since_s: float | None,
    follow: bool,
    past: Past = whole,
) -> Iterator[LogLine]:
    earliest_ns = time.time_ns() - int(since_s * 1e9) if since_s is not None else 0
    chosen = [one for one in containers.all() if not components or one.subject in components]
    last: dict[str, int] = {}
    there = [_past(containers, one, earliest_ns, last) for one in chosen]
    if not components or OPERATORS in components:
        there.append(_notes(store, earliest_ns))
    yield from past(heapq.merge(*there, key=lambda line: line.time_ns))
    if follow:
        yield from _follow(containers, components, last)


def _past(containers: Containers, one: Found, earliest_ns: int, last: dict[str, int]) -> Iterator[LogLine]:
    last[one.id] = earliest_ns
    data = containers.api.logs(
        one.id, stdout=True, stderr=True, timestamps=True, since=earliest_ns // 1_000_000_000 or None
    )
    for line in bytes(data).decode(errors="replace").splitlines():
        if (told := _line(one.subject, line)) is not None and told.time_ns >= earliest_ns:
            last[one.id] = told.time_ns
            yield told


def _notes(store: Store, earliest_ns: int) -> Iterator[LogLine]:
    for line in (store.read(NOTES) or b"").decode(errors="replace").splitlines():
        time_ns, shown = text.parse(line)
        if time_ns >= earliest_ns:
            yield LogLine(OPERATORS, time_ns, shown)


def _follow(containers: Containers, components: Sequence[str], last: dict[str, int]) -> Iterator[LogLine]:
    """Also of containers that come later, from their first line on. One that restarts goes on where it ended."""
    news: queue.Queue[LogLine] = queue.Queue(10_000)
    followed: dict[str, threading.Thread] = {}
    while True:
        for one in containers.all():
            wanted = not components or one.subject in components
            alive = one.id in followed and followed[one.id].is_alive()
            if wanted and not alive and one.state in ("running", "restarting"):
                followed[one.id] = threading.Thread(target=_read, args=(containers, one, last, news), daemon=True)
                followed[one.id].start()
        deadline = time.monotonic() + LOOK_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                yield news.get(timeout=left)
            except queue.Empty:
                break


def _read(containers: Containers, one: Found, last: dict[str, int], news: queue.Queue[LogLine]) -> None:
    since_ns = last.get(one.id, 0)
    try:
        pieces: Any = containers.api.logs(
            one.id, stdout=True, stderr=True, timestamps=True, stream=True, follow=True, since=since_ns / 1e9 or None
        )
        rest = b""
        for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                told = _line(one.subject, line.decode(errors="replace"))
                if told is not None and told.time_ns > last.get(one.id, 0):
                    last[one.id] = told.time_ns
                    news.put(told)
    except (DockerException, OSError):
        return  # gone, or the engine restarts: who looks for containers next starts again


def _line(subject: str, line: str) -> LogLine | None:
    """Docker's own time comes first, to the nanosecond: it tells lines of one container apart."""
    stamp, _, said = line.partition(" ")
    whole_s, _, fraction = stamp.rstrip("Z").partition(".")
    try:
        seconds = int(datetime.fromisoformat(whole_s).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
    _, shown = text.parse(said)
    return LogLine(subject, seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or 0), shown)
