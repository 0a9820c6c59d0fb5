"""hftctl backup list and verify: what is there, and whether it is what was backed up."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from hftctl import paths
from hftctl.archive import manifest as manifests
from hftctl.archive.manifest import Manifest
from hftctl.archive.store import Store
from hftctl.errors import DamageFound, HftctlError, NotFound
from hftctl.operations.backup import journal
from hftctl.operations.backup.beside import scratch
from hftctl.operations.backup.fetch import check_cut, fetch
from hftctl.operations.backup.place import existing, find_store, held
from hftctl.operations.terms import Report, silent
from hftctl.plan.execute import Progress


@dataclass(frozen=True)
class Entry:
    id: str
    manifest: Manifest | None  # None: damaged
    problem: str = ""


@dataclass(frozen=True)
class Listing:
    deployment: str
    store: str
    backups: tuple[Entry, ...]  # newest first
    error: HftctlError | None


@dataclass(frozen=True)
class Verified:
    id: str
    commands: int
    live_orders: int
    problem: str  # empty: whole


@dataclass(frozen=True)
class Verification:
    deployment: str
    store: str
    backups: tuple[Verified, ...]
    duration_s: float
    error: HftctlError | None


def listed(name: str | None, *, store: Path | None = None) -> Listing:
    """Reads the manifests only; `verify` reads everything."""
    place = existing(find_store(name, store))
    entries = tuple(_entry(place, id_) for id_ in reversed(manifests.ids(place)))
    bad = [one for one in entries if one.problem]
    error = None
    if bad:
        error = DamageFound(
            f"{len(bad)} of {len(entries)} backups are damaged: {bad[0].problem}",
            hint=f"take a new one: hftctl backup create {place.named}; give damaged ones up: "
            f"hftctl backup prune --damaged {place.named}",
        )
    return Listing(place.deployment, str(place.folder), entries, error)


def _entry(store: Store, id_: str) -> Entry:
    try:
        return Entry(id_, manifests.read(store, id_))
    except DamageFound as error:
        return Entry(id_, None, error.message)


def chosen(store: Store, id_: str | None) -> Manifest:
    """The newest without an id. Raises NotFound and DamageFound."""
    if id_ is not None:
        return manifests.read(store, manifests.find(store, id_))
    newest = manifests.newest(store)
    if newest is None:
        raise NotFound(
            f"there is no backup of '{store.deployment}' in {store.folder}", hint=f"hftctl backup create {store.named}"
        )
    return newest


def verify(
    name: str | None,
    id_: str | None = None,
    *,
    all_: bool = False,
    store: Path | None = None,
    lock_wait_s: float = 0.0,
    progress: Report = silent,
) -> Verification:
    """Every byte against the manifest, every record of the journal against its chain, and its replay against what was recorded."""
    started = time.monotonic()
    place = existing(find_store(name, store))
    with held(place, "verify", wait_s=lock_wait_s, shared=True), scratch() as folder:
        if all_:
            wanted = list(reversed(manifests.ids(place)))
        else:
            wanted = [manifests.find(place, id_) if id_ else chosen(place, None).id]
        found = tuple(_verified(place, one, folder / one, progress) for one in wanted)
    bad = [one for one in found if one.problem]
    error = None
    if bad:
        error = DamageFound(
            f"backup {bad[0].id} of '{place.deployment}' is damaged: {bad[0].problem}",
            hint=f"take a new one: hftctl backup create {place.named}; older ones may be whole: "
            f"hftctl backup verify --all {place.named}",
        )
    return Verification(place.deployment, str(place.folder), found, time.monotonic() - started, error)


def _verified(store: Store, id_: str, folder: Path, report: Report) -> Verified:
    began = time.monotonic()
    commands = live = 0
    try:
        manifest = manifests.read(store, id_)
        for name in (*manifest.revisions, *filter(None, [manifest.secrets])):
            store.get(name, "a revision or the secrets")
        paths.make_folder(folder, mode=0o700)
        fetch(store, manifest, folder, report)
        for partition in manifest.partitions:
            report(
                Progress("backup", "waiting", f"replaying partition {partition.partition}", time.monotonic() - began)
            )
            check_cut(partition, folder)
            found = journal.verified(folder / f"partition-{partition.partition}")
            commands, live = commands + int(found["records"]), live + int(found["live_orders"])
            if found["records"] != partition.sequence:
                raise DamageFound(
                    f"its journal replays to command {found['records']}, {partition.sequence} were backed up"
                )
    except DamageFound as error:
        report(Progress("backup", "failed", f"{id_}: {error.message}", time.monotonic() - began))
        return Verified(id_, commands, live, error.message)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report(Progress("backup", "ready", f"{id_} is whole", time.monotonic() - began))
    return Verified(id_, commands, live, "")
