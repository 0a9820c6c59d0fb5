"""Delete backups that nobody needs any more, then what only they held.

Manifests go first: killed in between, there are objects that no backup names, and the next prune takes them. What is kept is
read in full before anything is deleted; a damaged manifest stops everything, because nobody knows what belongs to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hftctl.archive import manifest as manifests
from hftctl.archive.manifest import Manifest
from hftctl.archive.retention import Keep, kept
from hftctl.archive.store import Store
from hftctl.errors import DamageFound, HftctlError, NotFound
from hftctl.operations.backup.place import existing, find_store, held, profile_of
from hftctl.operations.terms import Report, silent
from hftctl.paths import sync_folder
from hftctl.plan.execute import Progress
from hftctl.profile import schema

PROVEN = "proven by the newest good drill"


@dataclass(frozen=True)
class Fate:
    id: str
    created_ns: int  # 0: damaged
    mark: str
    why: tuple[str, ...]  # it stays; empty: it goes


@dataclass(frozen=True)
class Pruned:
    deployment: str
    store: str
    done: bool  # False: only planned
    backups: tuple[Fate, ...]  # newest first
    objects: int  # that go, or went
    freed_bytes: int

    @property
    def going(self) -> list[str]:
        return [one.id for one in self.backups if not one.why]


def prune(
    name: str | None,
    *,
    keep: Mapping[str, int],
    unmark: Collection[str] = (),
    damaged: bool = False,
    store: Path | None = None,
    lock_wait_s: float = 0.0,
    dry_run: bool = False,
    confirm: Callable[[Pruned], None] = lambda planned: None,
    progress: Report = silent,
) -> Pruned:
    """`keep` wins over the profile's, key by key. `unmark`: marks that protect no longer. `damaged`: delete those too whose
    manifest cannot be read. `confirm` is shown the plan, and raises where it must not be. Raises DamageFound and NotFound."""
    place = existing(find_store(name, store))
    of_profile = profile_of(place.deployment).get("backup", {}).get("keep", {})
    wanted = Keep(**{**schema.Keep().model_dump(), **of_profile, **keep})
    with held(place, "prune", wait_s=lock_wait_s, shared=dry_run):
        whole, broken = _read(place)
        if broken and not damaged:
            raise DamageFound(
                f"nothing was deleted: {next(iter(broken.values())).message}",
                hint=f"look what is whole: hftctl backup verify --all {place.named}; "
                f"then delete damaged ones too: hftctl backup prune --damaged {place.named}",
            )
        if unknown := set(unmark) - {one.mark for one in whole}:
            raise NotFound(
                f"no backup of '{place.deployment}' is marked {', '.join(sorted(unknown))}",
                hint=f"see the marks: hftctl backup list {place.named}",
            )
        whole = [replace(one, mark="") if one.mark in unmark else one for one in whole]
        planned = _planned(place, whole, broken, wanted)
        if dry_run:
            return planned
        if planned.going or planned.objects or unmark:
            confirm(planned)
        _delete(place, planned, [one for one in whole if one.id not in planned.going], progress)
    return replace(planned, done=True)


def _read(store: Store) -> tuple[list[Manifest], dict[str, HftctlError]]:
    """Oldest first."""
    whole: list[Manifest] = []
    broken: dict[str, HftctlError] = {}
    for id_ in manifests.ids(store):
        try:
            whole.append(manifests.read(store, id_))
        except DamageFound as error:
            broken[id_] = error
    return whole, broken


def _planned(store: Store, whole: list[Manifest], broken: Mapping[str, HftctlError], keep: Keep) -> Pruned:
    reasons = kept({one.id: one.created_ns for one in whole}, keep)
    proven = _proven(store)
    fates = [Fate(id_, 0, "", ()) for id_ in broken]
    for one in whole:
        why = reasons.get(one.id, ())
        why += (f"mark {one.mark}",) if one.mark else ()
        why += (PROVEN,) if one.id == proven else ()
        fates.append(Fate(one.id, one.created_ns, one.mark, why))
    fates.sort(key=lambda fate: fate.id, reverse=True)
    staying = {fate.id for fate in fates if fate.why}
    loose = _loose(store, [one for one in whole if one.id in staying])
    freed = sum(path.stat().st_size for path in loose)
    return Pruned(store.deployment, str(store.folder), False, tuple(fates), len(loose), freed)


def _proven(store: Store) -> str:
    """Of the backup that was proven last; empty: none was."""
    for path in sorted(store.drills.glob("[0-9]*.json"), reverse=True):
        try:
            report = manifests.opened(path, "report")
        except HftctlError:
            continue
        if report["result"] == "proven":
            return str(report["backup"])
    return ""


def _loose(store: Store, staying: list[Manifest]) -> list[Path]:
    """What none of them names: of those that go, of backups that were killed, and files half written."""
    named = {
        name for one in staying for name in one.objects()
    }  # a damaged one that was set aside begins with its name too
    return [path for path in sorted(store.objects.glob("*/*")) if path.name.partition(".")[0] not in named]


def _delete(store: Store, planned: Pruned, staying: list[Manifest], report: Report) -> None:
    started = time.monotonic()
    try:
        for one in staying:  # a mark that was taken away
            if manifests.read(store, one.id) != one:
                manifests.write(store, one)
        for id_ in planned.going:
            (store.backups / f"{id_}.json").unlink()
        sync_folder(store.backups)
        loose = _loose(store, staying)
        for done, path in enumerate(loose, start=1):
            path.unlink()
            report(
                Progress(
                    "prune", "applying", f"{done} of {len(loose)} objects", time.monotonic() - started, figures=True
                )
            )
    except OSError as error:
        raise store.failed(error) from error
