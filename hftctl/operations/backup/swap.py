"""Exchanging a deployment's data with what was restored beside it: at once, and what stood is kept until somebody says otherwise."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

from hftctl.errors import Failed, Refused
from hftctl.operations.backup.beside import remove_tree
from hftctl.operations.rollout import new_id
from hftctl.paths import Layout, make_folder, sync_folder, write_atomic
from hftctl.targets.local import LocalTarget

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def put_beside(layout: Layout, data: Path) -> Path:
    """Move restored data next to the deployment's own. Raises Failed."""
    place = layout.restored(new_id())
    try:
        (data / _marker(place)).touch(mode=0o600)
        sync_folder(data)
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
        (layout.data / _marker(restored)).unlink()
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.renameat2(_AT_FDCWD, os.fsencode(restored), _AT_FDCWD, os.fsencode(layout.data), _RENAME_EXCHANGE)
    if done != 0:
        reason = os.strerror(ctypes.get_errno())
        raise Failed(
            f"cannot exchange {layout.data} with {restored} at once: {reason}; the data are the old ones, and it is stopped",
            hint=f"bring it up again: hftctl start -p {layout.name}; this file system cannot do it, so by hand before that: "
            f"mv {layout.data} {layout.data}.old; mv {restored} {layout.data}",
        )
    sync_folder(layout.root)
    return settle(layout)


def settle(layout: Layout) -> Path | None:
    """What a restore has left under its first name: old data get the name they are kept by, and restored data that
    never came to their place, because it was killed before, are deleted. Returns where the old data are."""
    kept = None
    for place in layout.root.glob("data.restored-*"):
        if (place / _marker(place)).exists():  # it still holds what was put there, so it was never exchanged
            remove_tree(place, last=_marker(place))
            continue
        kept = place.rename(layout.aside(_id(place)))
        sync_folder(layout.root)
        (layout.data / _marker(place)).unlink(missing_ok=True)
    return kept


def _id(restored: Path) -> str:
    return restored.name.partition("-")[2]


def _marker(restored: Path) -> str:
    return f".restored-{_id(restored)}"


def keep_secrets(layout: Layout, made: Path) -> None:
    """Those of what was restored, the new ones among them: the database's password is the one it was made with. All at once
    where none are here: what a killed restore had left half would be taken for the whole the next time."""
    half = layout.secrets.with_name(".secrets.restored")
    shutil.rmtree(half, ignore_errors=True)
    here = layout.secrets.is_dir() and any(layout.secrets.iterdir())
    folder = make_folder(layout.secrets if here else half, mode=0o700)
    for one in made.iterdir():
        if not (folder / one.name).exists():
            write_atomic(folder / one.name, one.read_bytes(), mode=0o600)
    if not here:
        half.rename(layout.secrets)
        sync_folder(layout.root)


def discard(name: str, *, lock_wait_s: float = 0.0) -> list[Path]:
    """Delete what earlier restores have kept. Raises Refused where there is nothing but that, and LockHeld."""
    target = LocalTarget(name)
    layout = target.layout
    with target.lock("discarding what restores have kept", wait_s=lock_wait_s):
        kept = layout.asides()
        if kept and not layout.data.exists():
            raise Refused(
                f"{layout.data} is not there, so {kept[-1]} is all there is of '{layout.name}': it is not deleted",
                hint=f"restore first: hftctl backup restore -p {layout.name}",
            )
        for folder in kept:
            shutil.rmtree(folder)
    return kept
