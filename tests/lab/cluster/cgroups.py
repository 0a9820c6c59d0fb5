"""A place for each node in the host's cgroups, whichever version they are of, and its removal."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from tests.lab.cluster.layout import CGROUP

MOUNT = Path("/sys/fs/cgroup")
COPIED = ("cpuset.cpus", "cpuset.mems")  # of version 1: a new group has none, and nothing runs in it
GONE_S = 20.0


def path(node: str) -> str:
    return f"/{CGROUP}/{node}"


def _trees() -> list[Path]:
    if (MOUNT / "cgroup.controllers").exists():
        return [MOUNT]
    return [tree for tree in sorted(MOUNT.iterdir()) if tree.is_dir() and not tree.is_symlink()]


def make(node: str) -> None:
    for tree in _trees():
        above = tree
        for name in (CGROUP, node):
            group = above / name
            group.mkdir(exist_ok=True)
            for value in COPIED:
                if (group / value).exists() and not (group / value).read_text().strip():
                    (group / value).write_text((above / value).read_text())
            above = group
        if (tree / "cgroup.subtree_control").exists() and tree == MOUNT:
            for group in (tree, tree / CGROUP):
                for name in (group / "cgroup.controllers").read_text().split():
                    with suppress(OSError):  # one that is in use by version 1 elsewhere
                        (group / "cgroup.subtree_control").write_text(f"+{name}")


def remove() -> None:
    """All of ours; what was in them has been killed, and takes a moment to be gone."""
    deadline = time.monotonic() + GONE_S
    while left := [group for tree in _trees() for group in _below(tree / CGROUP)]:
        for group in left:
            with suppress(OSError):
                group.rmdir()
        if time.monotonic() > deadline:
            raise RuntimeError(f"cgroups that cannot be removed: {', '.join(map(str, left))}")


def _below(group: Path) -> list[Path]:
    """The innermost first."""
    return [Path(folder) for folder, _, _ in os.walk(group, topdown=False)]
