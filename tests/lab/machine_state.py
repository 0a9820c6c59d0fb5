"""Everything on this machine that a tuning test may touch: as it is, what differs, and put back without hftctl."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = Path("/run/lock/hftctl-lab-machine")  # two tests at once would take each other for somebody else
TREES = ("/proc/sys/net", "/etc")
MOVING = ("/route/flush", "nf_conntrack_count")
# Beside these trees, of the kernel's memory: what knobs write.
SETTINGS = (
    "proc/irq/default_smp_affinity", "proc/irq/*/smp_affinity", "sys/kernel/mm/transparent_hugepage/enabled",
    "sys/kernel/mm/transparent_hugepage/defrag", "sys/kernel/mm/transparent_hugepage/khugepaged/defrag",
    "sys/kernel/mm/ksm/run", "sys/devices/virtual/workqueue/cpumask", "sys/devices/virtual/workqueue/*/cpumask",
    "sys/devices/system/node/node*/hugepages/hugepages-*/nr_hugepages",
)  # fmt: skip


def snapshot() -> dict[str, bytes]:
    """Every value of the network namespace, every file of /etc with its mode, every setting of the kernel that knobs write."""
    found = {str(path): _content(path) for path in (*_files(), *_settings())}
    return {path: data for path, data in found.items() if not path.endswith(MOVING)}


def differing(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


@contextmanager
def kept() -> Iterator[list[str]]:
    """Alone with the machine's settings, which are put back whatever happens. The list has then what was not as before."""
    moved: list[str] = []
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = {path: path.read_bytes() for path in _settings()}
        try:
            yield moved
        finally:
            for path, data in before.items():
                if path.exists() and path.read_bytes() != data:
                    moved.append(str(path))
                    text = data.decode()
                    with suppress(OSError):
                        path.write_text(text.partition("[")[2].partition("]")[0] or text.strip())


def _files() -> Iterator[Path]:
    for top in TREES:
        for folder, _, names in os.walk(top):
            yield from (Path(folder, name) for name in names)


def _settings() -> list[Path]:
    return [path for pattern in SETTINGS for path in sorted(Path("/").glob(pattern))]


def _content(path: Path) -> bytes:
    try:
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        return oct(path.lstat().st_mode).encode() + content
    except OSError as error:
        return str(error.errno).encode()
