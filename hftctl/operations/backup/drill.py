"""Restore the newest backup where it harms nobody, compare it with what was backed up, and say how long that took.

The report stands in the store, each with the hash of the one before: none can be changed or taken out unseen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hftctl import paths
from hftctl.archive import manifest as manifests
from hftctl.archive.manifest import Manifest
from hftctl.archive.store import Store
from hftctl.errors import DamageFound, HftctlError, Interrupted, NotFound, Refused
from hftctl.operations.backup import journal
from hftctl.operations.backup.beside import Beside, scratch
from hftctl.operations.backup.compare import Compared, Point, compare, wait_for_rows
from hftctl.operations.backup.fetch import check_cut, fetch
from hftctl.operations.backup.look import chosen
from hftctl.operations.backup.place import existing, find_store, held
from hftctl.operations.proof import prove_by_order
from hftctl.operations.rollout import actor, new_id
from hftctl.operations.terms import Report, silent
from hftctl.paths import write_atomic
from hftctl.plan.execute import Progress
from hftctl.release import Release
from hftctl.targets.base import Target

ENGINE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Drilled:
    deployment: str
    store: str
    backup: str
    report: str  # its file
    result: str  # proven | inconclusive | failed
    partitions: tuple[Compared, ...]
    fetched_s: float  # from the beginning until the journal was on disk
    serving_s: float  # until every component was ready
    rows_s: float  # until PostgreSQL had all rows on disk
    rto_s: float  # until an order of its own was acknowledged, filled and in PostgreSQL
    rpo_s: float  # how old the oldest command is that would be lost; 0: none would be
    compared_s: float  # until everything was compared
    error: HftctlError | None = None


def drill(
    name: str | None,
    id_: str | None = None,
    *,
    store: Path | None = None,
    lock_wait_s: float = 0.0,
    progress: Report = silent,
) -> Drilled:
    """The newest backup without an id. Raises where it cannot even begin; after that the result says what failed."""
    place = existing(find_store(name, store))
    if not os.access(place.drills, os.W_OK):
        raise Refused(
            f"cannot drill: its report is kept in {place.drills}, which cannot be written",
            hint=f"this only reads: hftctl backup verify {place.named}",
        )
    with held(place, "drill", wait_s=lock_wait_s, shared=True), scratch() as folder:
        manifest = chosen(place, id_)
        try:
            return _Drill(place, manifest, folder, progress).run()
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"drill of backup {manifest.id} stopped: what it had brought up is gone, nothing else was touched",
                hint=f"hftctl backup drill {place.named}",
            ) from error


class _Drill:
    def __init__(self, store: Store, manifest: Manifest, folder: Path, report: Report) -> None:
        self._store, self._manifest, self._folder, self._report = store, manifest, folder, report
        self._began = time.monotonic()
        self._took = dict.fromkeys(("fetched_s", "serving_s", "rows_s", "rto_s", "rpo_s", "compared_s"), 0.0)
        self._compared: tuple[Compared, ...] = ()
        self._found: HftctlError | None = None  # what the rollout would say in its own words only

    def run(self) -> Drilled:
        error: HftctlError | None = None
        result = "proven"
        try:
            self._took["rpo_s"] = self._rpo_s()
            ended = self._restored()
            if ended.error is not None:
                result, error = (
                    ("inconclusive" if ended.result == "inconclusive" else "failed"),
                    self._found or ended.error,
                )
        except HftctlError as caught:
            result, error = "failed", caught
        file, broken = record(self._store, self._facts(result, error))
        error = error or broken
        self._say("ready" if error is None else "failed", f"report {file}")
        return Drilled(
            self._store.deployment, str(self._store.folder), self._manifest.id, str(file), result, self._compared,
            **self._took, error=error,
        )  # fmt: skip

    def _restored(self) -> Any:
        beside = Beside(self._folder, Release.from_document(self._manifest.release))
        fetch(self._store, self._manifest, beside.layout.data, self._report)
        for partition in self._manifest.partitions:
            check_cut(partition, beside.layout.data)
        self._mark("fetched_s")
        points = {one.partition: Point(one.sequence, one.chain, one.time_ns) for one in self._manifest.partitions}

        def prove(target: Target, rollout: str, partitions: int, was_down: bool) -> Sequence[Mapping[str, Any]]:
            self._mark("serving_s")
            try:
                wait_for_rows(beside.target, points, self._report, self._began)
                self._mark("rows_s")
                try:
                    return prove_by_order(target, rollout, partitions, was_down)
                finally:
                    self._mark("rto_s")
                    self._compare(beside, points)
            except HftctlError as error:
                self._found = error
                raise

        return beside.bring_up(f"drill of backup {self._manifest.id}", prove, self._report)

    def _compare(self, beside: Beside, points: Mapping[int, Point]) -> None:
        self._say("waiting", "comparing journal, replay, engine and rows")
        self._compared = tuple(
            compare(beside.target, number, point, self._original(number, point)) for number, point in points.items()
        )
        self._mark("compared_s")

    def _original(self, partition: int, point: Point) -> int | None:
        """The chain that the deployment which stands here has at the cut."""
        data = paths.layout(self._store.deployment).partition(partition)
        if not point.sequence or not (data / "journal").is_dir():
            return None
        found = journal.cut(data, known=point.sequence)
        if found["known_chain"] is None:
            raise DamageFound(
                f"partition {partition}: the running deployment has no command {point.sequence} any more, its backup has"
            )
        return int(found["known_chain"])

    def _rpo_s(self) -> float:
        """Of the deployment that stands here: since when commands are missing in the backup, were it lost now."""
        lost_ns = []
        for partition in self._manifest.partitions:
            data = paths.layout(self._store.deployment).partition(partition.partition)
            try:
                found = journal.cut(data)
            except (NotFound, DamageFound):
                continue  # there is nothing any more that could get lost
            if found["sequence"] > partition.sequence:
                lost_ns.append(max(partition.time_ns, self._manifest.created_ns))
        return round((time.time_ns() - min(lost_ns)) / 1e9, 3) if lost_ns else 0.0

    def _mark(self, what: str) -> None:
        self._took[what] = round(time.monotonic() - self._began, 3)

    def _say(self, state: str, message: str) -> None:
        self._report(Progress("drill", state, message, time.monotonic() - self._began))

    def _facts(self, result: str, error: HftctlError | None) -> dict[str, Any]:
        return {
            "deployment": self._store.deployment,
            "backup": self._manifest.id,
            "backup_hash": manifests.digest(
                manifests.opened(self._store.backups / f"{self._manifest.id}.json", "manifest")
            ),
            "actor": actor(),
            "created_ns": time.time_ns(),
            "result": result,
            "error": error.message if error else "",
            **self._took,
            "partitions": [asdict(one) for one in self._compared],
        }


def record(store: Store, facts: Mapping[str, Any]) -> tuple[Path, DamageFound | None]:
    """Its file, and what is wrong with the report before: that is told once, and the next one follows on this. Raises Failed."""
    before = sorted(store.drills.glob("[0-9]*.json"))
    previous, broken = "", None
    try:
        previous = manifests.opened(before[-1], "report")["hash"] if before else ""
    except DamageFound as error:
        previous, broken = f"damaged: {before[-1].name}", error
    path = store.drills / f"{manifests.later(store.drills, new_id())}.json"
    try:
        write_atomic(path, manifests.sealed({**facts, "format": manifests.FORMAT, "previous": previous}), mode=0o600)
    except OSError as error:
        raise store.failed(error) from error
    return path, broken
