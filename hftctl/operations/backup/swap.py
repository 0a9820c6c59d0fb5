"""Exchanging a deployment's data with what was restored beside it: at once, and what stood is kept until somebody says otherwise."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

from hftctl.errors import Failed, Refused
from hftctl.operations.rollout import new_id
from hftctl.paths import Layout, sync_folder

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def put_beside(layout: Layout, data: Path) -> Path:
    """Move restored data next to the deployment's own, under a name that is kept. Raises Failed."""
    place = layout.aside(new_id())
    try:
        data.rename(place)
        sync_folder(layout.root)
    except OSError as error:
        raise Failed(
            f"cannot move the restored data to {place}: {error.strerror}", hint="the state home must be one file system"
        ) from error
    return place


def exchange(layout: Layout, restored: Path) -> Path | None:
    """From one moment to the next `data` is what was restored. Returns where the old data are, None where there were none.

    There is no moment without data: an engine that starts then would begin a new journal. Raises Failed.
    """
    if not layout.data.exists():
        restored.rename(layout.data)
        sync_folder(layout.root)
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.renameat2(_AT_FDCWD, os.fsencode(restored), _AT_FDCWD, os.fsencode(layout.data), _RENAME_EXCHANGE)
    if done != 0:
        reason = os.strerror(ctypes.get_errno())
        raise Failed(
            f"cannot exchange {layout.data} with {restored} at once: {reason}; nothing was changed",
            hint=f"this file system cannot do it: stop, then mv {layout.data} {layout.data}.old; mv {restored} {layout.data}; "
            f"hftctl start -p {layout.name}",
        )
    sync_folder(layout.root)
    return restored


def discard(layout: Layout) -> list[Path]:
    """Delete what earlier restores have kept. Raises Refused where there is nothing but that."""
    kept = layout.asides()
    if kept and not layout.data.exists():
        raise Refused(
            f"{layout.data} is not there, so {kept[-1]} is all there is of '{layout.name}': it is not deleted",
            hint=f"restore first: hftctl backup restore -p {layout.name}",
        )
    for folder in kept:
        shutil.rmtree(folder)
    return kept
