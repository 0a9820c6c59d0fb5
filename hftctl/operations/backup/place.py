"""Which store is meant, and whose backups in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        if len(there) != 1:
            listed = ", ".join(there) or "none"
            raise UsageError(f"which deployment? the store {folder} has backups of: {listed}", hint="name one: -p NAME")
        name = there[0]
    return Store(folder, check_name(name))


def _of_profile(name: str | None, standing: list[str]) -> Path:
    if name is None or name not in standing:
        raise UsageError("which store? no deployment stands whose profile could say", hint=AWAY)
    last = last_revision(open_target("local", name))
    wanted = str(last.release.profile.get("backup", {}).get("store", "")) if last else ""
    if not wanted:
        raise UsageError(f"which store? the profile of '{name}' names none", hint=AWAY)
    return Path(wanted)


def existing(store: Store) -> Store:
    """Raises NotFound where it holds no backup of this deployment, or is away."""
    if not store.backups.is_dir():
        raise NotFound(
            f"there are no backups of '{store.deployment}' in {store.folder}",
            hint=f"mount it where it is away; or make one: hftctl backup create --store {store.folder}",
        )
    return store


@contextmanager
def held(store: Store, why: str, *, wait_s: float = 0.0, shared: bool = False) -> Iterator[None]:
    """The store's lock. Raises LockHeld."""
    with flock.hold(store.lock, deployment=store.deployment, holder=actor(), why=why, wait_s=wait_s, shared=shared):
        yield
