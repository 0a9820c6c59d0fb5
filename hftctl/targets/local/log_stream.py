"""The logs of all components as one stream, in the order of time, over rotations."""

from __future__ import annotations

import heapq
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hftctl.targets.base import LogLine, Past, whole
from hftctl.targets.local.tail import Tail

FOLLOW_S = 0.2

_POSTGRES = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) UTC (.*)")
_NGINX = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) (.*)")
_VALKEY = re.compile(r"\d+:[A-Z] (\d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3}) (.*)")
_PLAIN: tuple[tuple[re.Pattern[str], str], ...] = (
    (_POSTGRES, "%Y-%m-%d %H:%M:%S.%f"),
    (_NGINX, "%Y/%m/%d %H:%M:%S"),
    (_VALKEY, "%d %b %Y %H:%M:%S.%f"),
)


def stream(
    logs: Path,
    components: Sequence[str],
    *,
    since_s: float | None,
    follow: bool,
    past: Past = whole,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[LogLine]:
    """Lines of the named components (of all, without names), oldest first; `follow` goes on with what comes."""
    logs_ = [Lines(path, name) for name, path in _files(logs) if not components or name in components]
    earliest = time.time_ns() - int(since_s * 1e9) if since_s is not None else 0
    try:
        there = heapq.merge(*(one.new() for one in logs_), key=lambda line: line.time_ns)
        yield from past(line for line in there if line.time_ns >= earliest)
        while follow:
            known = {one.path for one in logs_}
            fresh = [(name, path) for name, path in _files(logs) if path not in known]
            logs_ += [Lines(path, name) for name, path in fresh if not components or name in components]
            news = sorted((line for one in logs_ for line in one.new()), key=lambda line: line.time_ns)
            yield from (line for line in news if line.time_ns >= earliest)
            if not news:
                wait(FOLLOW_S)
    finally:
        for one in logs_:
            one.close()


def _files(logs: Path) -> list[tuple[str, Path]]:
    """Component and current file, also of those that so far only have a rotated one."""
    found = {}
    for path in [*logs.glob("*.log*"), *logs.glob("*.out*")]:
        base = path.with_name(re.sub(r"\.\d+$", "", path.name))
        found[base] = base.stem
    return sorted((name, path) for path, name in found.items())


class Lines:
    """Of one component, with the time of each."""

    def __init__(self, path: Path, component: str) -> None:
        self.path = path
        self._component = component
        self._tail = Tail(path)
        self._time_ns = 0

    def new(self) -> Iterator[LogLine]:
        for text in self._tail.texts():
            yield self._line(text)

    def close(self) -> None:
        self._tail.close()

    def _line(self, text: str) -> LogLine:
        """A line without a time of its own (of a traceback) belongs to the one before it, else to the file's last change."""
        time_ns, shown = parse(text)
        self._time_ns = time_ns or self._time_ns or _changed_ns(self.path)
        return LogLine(self._component, self._time_ns, shown)


def parse(text: str) -> tuple[int, str]:
    """Time in nanoseconds (0: none in it) and the text without it."""
    if text.startswith("{"):
        try:
            return _json(json.loads(text))
        except (ValueError, KeyError, TypeError):
            return 0, text
    for pattern, form in _PLAIN:
        if found := pattern.match(text):
            return _ns(datetime.strptime(found[1], form).replace(tzinfo=UTC)), found[2]
    return 0, text


def _json(line: Mapping[str, Any]) -> tuple[int, str]:
    words = [line["level"], line["message"], *(f"{key}={value}" for key, value in line.get("fields", {}).items())]
    if "error" in line:
        words.append(str(line["error"]))
    if "traceback" in line:
        words.append(f"\n{line['traceback']}")
    return _ns(datetime.fromisoformat(line["time"])), " ".join(map(str, words))


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
