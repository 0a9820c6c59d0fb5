"""What this machine can and cannot do. Reads only; the one measurement writes to a file without a name."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import statistics
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from hftctl.targets.base import Finding

CORES_RECOMMENDED = 8
MEMORY_RECOMMENDED_BYTES = 16 << 30
MEMORY_MINIMUM_BYTES = 1 << 30
DISK_MINIMUM_BYTES = 2 << 30
DISK_RECOMMENDED_BYTES = 100 << 30
FILES_MINIMUM = 1024
FILES_RECOMMENDED = 65536
SYNC_SLOW_MS = 5.0
SYNC_ROUNDS = 32
THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def findings(home: Path) -> Iterator[Finding]:
    """`home`: the state home, which need not be there yet."""
    yield python()
    yield compiler()
    yield cores()
    yield memory()
    place = existing(home)
    yield disk(place)
    yield sync_time(place)
    yield open_files()
    yield transparent_huge_pages()
    yield platform_tested()


def python() -> Finding:
    found = platform.python_version()
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs an older one shall be told
        return Finding("problem", "python", f"{found}; 3.11 or newer is needed", "install Python 3.11 or newer")
    return Finding("ok", "python", f"{found} at {sys.executable}")


def compiler() -> Finding:
    command = (sysconfig.get_config_var("CC") or "cc").split()[0]
    found = shutil.which(command) or shutil.which("cc")
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    fix = "Debian, Ubuntu: apt-get install gcc libc6-dev python3-dev; macOS: xcode-select --install"
    if found is None:
        return Finding("warning", "compiler", "no C compiler: the plain-Python engine runs, many times slower", fix)
    if not header.is_file():
        return Finding("warning", "compiler", f"{found}, but no {header}: the plain-Python engine runs", fix)
    return Finding("ok", "compiler", f"{found}, with Python's headers")


def cores() -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count < CORES_RECOMMENDED:
        message = f"{count} for us; {CORES_RECOMMENDED} recommended, so latency under load will be worse"
        return Finding("warning", "cores", message, "keep partitions and gateways at 1, or use a larger machine")
    return Finding("ok", "cores", str(count))


def memory() -> Finding:
    total = psutil.virtual_memory().total
    shown = f"{total / (1 << 30):.1f} GiB"
    fix = "lower engine.max_live_orders and engine.client_ids_max, or use a larger machine"
    if total < MEMORY_MINIMUM_BYTES:
        return Finding("problem", "memory", f"{shown}; at least 1 GiB is needed", fix)
    if total < MEMORY_RECOMMENDED_BYTES:
        return Finding("warning", "memory", f"{shown}; 16 GiB recommended", fix)
    return Finding("ok", "memory", shown)


def existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def disk(place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    shown = f"{free / (1 << 30):.1f} GiB free at {place}"
    fix = "free space there, or choose another place with HFTCTL_HOME"
    if free < DISK_MINIMUM_BYTES:
        return Finding("problem", "disk", f"{shown}; at least 2 GiB are needed", fix)
    if free < DISK_RECOMMENDED_BYTES:
        return Finding("warning", "disk", f"{shown}; 100 GiB recommended: journals only grow", fix)
    return Finding("ok", "disk", shown)


def sync_time(place: Path) -> Finding:
    """An order is acknowledged after a sync: this is the floor of its latency."""
    fix = "put the state home on a local SSD with HFTCTL_HOME"
    if not hasattr(os, "O_TMPFILE"):
        return Finding("warning", "sync", "not measured: this system has no files without a name", fix)
    try:
        handle = os.open(place, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as error:
        return Finding("warning", "sync", f"not measured, cannot write at {place}: {error.strerror}", fix)
    took_ms: list[float] = []
    try:
        for index in range(SYNC_ROUNDS):
            os.pwrite(handle, b"\0" * 4096, index * 4096)
            started = time.perf_counter_ns()
            os.fdatasync(handle)
            took_ms.append((time.perf_counter_ns() - started) / 1e6)
    finally:
        os.close(handle)
    shown = f"fdatasync of 4 KiB at {place}: median {statistics.median(took_ms):.3f} ms, longest {max(took_ms):.3f} ms"
    return Finding("warning" if statistics.median(took_ms) > SYNC_SLOW_MS else "ok", "sync", shown, fix)


def open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = f"{soft} open files, up to {'any number' if hard == resource.RLIM_INFINITY else hard}"
    most = sys.maxsize if hard == resource.RLIM_INFINITY else hard
    fix = f"ulimit -n {min(FILES_RECOMMENDED, most)}, or `nofile` in /etc/security/limits.conf"
    if most < FILES_MINIMUM:
        return Finding("problem", "files", f"{shown}; at least {FILES_MINIMUM} are needed", fix)
    if soft < FILES_MINIMUM:
        return Finding("warning", "files", f"{shown}; {FILES_MINIMUM} recommended", fix)
    return Finding("ok", "files", shown)


def transparent_huge_pages() -> Finding:
    try:
        chosen = THP.read_text().partition("[")[2].partition("]")[0]
    except OSError:
        return Finding("ok", "huge pages", "no transparent huge pages here")
    if chosen == "always":
        message = "transparent huge pages are always on, which makes pauses of milliseconds"
        return Finding("warning", "huge pages", message, f"echo madvise > {THP} (as root)")
    return Finding("ok", "huge pages", f"transparent huge pages: {chosen}")


def platform_tested() -> Finding:
    shown = f"{platform.system()} {platform.release()} {platform.machine()}"
    if platform.system() != "Linux":
        return Finding(
            "warning", "platform", f"{shown}: not tested; Linux is", "run it in a Linux machine or container"
        )
    return Finding("ok", "platform", shown)
