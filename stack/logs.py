"""Logging of every service: JSON lines, one per event, into the file the settings name.

    {"time": "2026-01-31T09:30:00.123456Z", "level": "info", "component": "engine-0", "message": "...", "fields": {...}}

Further values go through `extra={"fields": {...}}`. An exception adds `error` (one line) and `traceback`. The file is
reopened when it was renamed or removed, so rotation needs no signal.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import time
from logging.handlers import WatchedFileHandler
from pathlib import Path

from stack.settings import Settings


class JsonLines(logging.Formatter):
    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{whole}.{int(record.created % 1 * 1_000_000):06d}Z",
            "level": record.levelname.lower(),
            "component": self._component,
            "message": record.getMessage(),
            "fields": getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = f"{record.exc_info[0].__name__}: {record.exc_info[1]}"
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def start(settings: Settings) -> None:
    """Send everything that is logged in this process to `settings.log_file` ("-" is standard error)."""
    handler: logging.Handler
    if settings.log_file == "-":
        handler = logging.StreamHandler(sys.stderr)
    else:
        Path(settings.log_file).parent.mkdir(parents=True, exist_ok=True)
        handler = WatchedFileHandler(settings.log_file, encoding="utf-8")
    handler.setFormatter(JsonLines(settings.component))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    set_level(settings.log_level)
    atexit.register(_let_go)


def _let_go() -> None:
    """What has no room on a full disk is given up: at its end Python would make exit status 120 of it, and whoever started
    us goes by the status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def set_level(level: str) -> None:
    logging.getLogger().setLevel(level.upper())
