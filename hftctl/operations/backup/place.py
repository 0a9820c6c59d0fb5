"""Which store is meant, and whose backups in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hftctl.archive.store import Store, deployments
from hftctl.errors import NotFound, UsageError
from hftctl.operations.rollout import actor
from hftctl.operations.standing import find_deployments, last_revision, open_target
from hftctl.paths import check_name
from hftctl.targets import flock

AWAY = "name a folder that is not lost with this machine: --store DIR, or backup.store in the profile"


def find_store(name: str | None, folder: Path | None) -> Store:
    """`--store`, else the profile's. Without a name: the only deployment that stands, else the only one in the store."""
    standing = find_deployments()
    if name is None and len(standing) == 1:
        name = standing[0]
    if folder is None:
        folder = _of_profile(name, standing)
    folder = folder.expanduser().absolute()
    if name is None:
        there = deployments(folder)
        if not there:
            missing = "" if folder.is_dir() else ": there is no such folder"
            raise NotFound(
                f"there are no backups in {folder}{missing}",
                hint="mount it where it is away; or name another: --store DIR",
            )
        if len(there) > 1:
            raise UsageError(
                f"which deployment? the store {folder} has backups of: {', '.join(there)}",
                hint=f"name one: -p {there[0]}",
            )
        name = there[0]
    return Store(folder, check_name(name))


def _of_profile(name: str | None, standing: list[str]) -> Path:
    if name is None or name not in standing:
        raise UsageError("which store? no deployment stands whose profile could say", hint=AWAY)
    wanted = str(profile_of(name).get("backup", {}).get("store", ""))
    if not wanted:
        raise UsageError(f"which store? the profile of '{name}' names none", hint=AWAY)
    return Path(wanted)


def profile_of(name: str) -> Mapping[str, Any]:
    """That of the last revision; empty where none stands."""
    last = last_revision(open_target("local", name)) if name in find_deployments() else None
    return last.release.profile if last else {}


def existing(store: Store) -> Store:
    """Raises NotFound where it holds no backup of this deployment, or is away."""
    if not store.backups.is_dir():
        raise NotFound(
            f"there are no backups of '{store.deployment}' in {store.folder}",
            hint=f"mount it where it is away; or make one: hftctl backup create {store.named}",
        )
    return store


@contextmanager
def held(store: Store, why: str, *, wait_s: float = 0.0, shared: bool = False) -> Iterator[None]:
    """The store's lock. Who reads where nothing can be written needs none: what is there does not change. Raises LockHeld, Failed."""
    if shared and not os.access(store.root, os.W_OK):
        yield
        return
    with ExitStack() as held_:
        try:
            held_.enter_context(
                flock.hold(
                    store.lock, deployment=store.deployment, holder=actor(), why=why, wait_s=wait_s, shared=shared
                )
            )
        except OSError as error:
            raise store.failed(error) from error
        yield
