"""The logs of all components as one stream, in the order of time, over rotations."""

from __future__ import annotations

import heapq
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from hftctl.targets.base import LogLine
from hftctl.targets.local.rotation import KEPT

FOLLOW_S = 0.2
LINE_BYTES_MAX = 1 << 16

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
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[LogLine]:
    """Lines of the named components (of all, without names), oldest first; `follow` goes on with what comes."""
    tails = [Tail(path, name) for name, path in _files(logs) if not components or name in components]
    earliest = time.time_ns() - int(since_s * 1e9) if since_s is not None else 0
    try:
        for line in heapq.merge(*(list(tail.lines()) for tail in tails), key=lambda line: line.time_ns):
            if line.time_ns >= earliest:
                yield line
        while follow:
            known = {tail.path for tail in tails}
            fresh = [(name, path) for name, path in _files(logs) if path not in known]
            tails += [Tail(path, name) for name, path in fresh if not components or name in components]
            news = sorted((line for tail in tails for line in tail.lines()), key=lambda line: line.time_ns)
            yield from news
            if not news:
                wait(FOLLOW_S)
    finally:
        for tail in tails:
            tail.close()


def _files(logs: Path) -> list[tuple[str, Path]]:
    """Component and current file, also of those that so far only have a rotated one."""
    found = {}
    for path in [*logs.glob("*.log*"), *logs.glob("*.out*")]:
        base = path.with_name(re.sub(r"\.\d+$", "", path.name))
        found[base] = base.stem
    return sorted((name, path) for path, name in found.items())


class Tail:
    """One log file with its rotated predecessors; `lines` gives what is new since the last call."""

    def __init__(self, path: Path, component: str) -> None:
        self.path = path
        self._component = component
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._time_ns = 0
        self._started = False

    def lines(self) -> Iterator[LogLine]:
        if not self._started:
            self._started = True
            for number in range(KEPT, 0, -1):
                older = self.path.with_name(f"{self.path.name}.{number}")
                if older.exists():
                    with older.open("rb") as file:
                        yield from self._read(file)
        if self._file is not None and self._moved(self._file):
            yield from self._read(self._file)  # what was written between our last look and the rename
            self._file.close()
            self._file = None
        if self._file is None:
            try:
                self._file = self.path.open("rb")
            except FileNotFoundError:
                return
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)  # copied away and emptied
        yield from self._read(self._file)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _moved(self, file: IO[bytes]) -> bool:
        try:
            return self.path.stat().st_ino != os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            return False  # its successor is not there yet

    def _read(self, file: IO[bytes]) -> Iterator[LogLine]:
        while piece := file.readline(LINE_BYTES_MAX):
            self._rest += piece
            if not self._rest.endswith(b"\n") and len(self._rest) < LINE_BYTES_MAX:
                return  # the rest is not written yet
            text, self._rest = self._rest.decode(errors="replace").rstrip("\n"), b""
            if text:
                yield self._line(text)

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
