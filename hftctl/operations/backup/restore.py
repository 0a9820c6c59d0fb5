"""Bring a backup back: beside first, compared, then in the place of what stands, at once.

Killed before the exchange, nothing has changed but that it may be stopped; killed after it, the restored data stand. `start`
brings up whichever it is, and the same restore can be given again. Old data are kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hftctl.archive.manifest import Manifest
from hftctl.archive.sealing import unseal
from hftctl.archive.store import Store
from hftctl.errors import DamageFound, Failed, HftctlError, Inconclusive, Interrupted, NotFound, Refused
from hftctl.operations.backup import journal, swap
from hftctl.operations.backup.beside import Beside, scratch
from hftctl.operations.backup.choose import Choice, Wanted, choose, cut_there
from hftctl.operations.backup.compare import Compared, Point, compare, wait_for_rows
from hftctl.operations.backup.fetch import check_cut, fetch
from hftctl.operations.backup.place import existing, find_store, held
from hftctl.operations.proof import prove_by_order
from hftctl.operations.request import Request
from hftctl.operations.rollout import confirm as confirm_
from hftctl.operations.rollout import roll
from hftctl.operations.running import record_stop
from hftctl.operations.terms import Confirm, Intention, Report, RolloutResult, accept, silent
from hftctl.paths import make_folder
from hftctl.plan.change import Plan
from hftctl.plan.execute import Progress
from hftctl.release import Release, Revision, code_artifacts, schema_range
from hftctl.targets.base import Finding, Target
from hftctl.targets.local import LocalTarget

LOCK_WAIT_S = 30.0
NOW = Wanted()


@dataclass(frozen=True)
class Restored:
    deployment: str
    store: str
    backup: str
    result: str  # restored | planned | inconclusive | failed
    points: Mapping[int, Point]
    partitions: tuple[Compared, ...]
    kept: str  # where the old data are; empty where there were none
    behind: Mapping[int, int]  # partition -> commands of the old data behind the point, or not known to be in it
    notes: tuple[str, ...]
    paused_s: float  # between the stop of what stood and the first order
    rto_s: float
    error: HftctlError | None = None


def restore(
    name: str | None,
    id_: str | None = None,
    *,
    wanted: Wanted = NOW,
    store: Path | None = None,
    identity: Path | None = None,
    new_secrets: bool = False,
    lock_wait_s: float = 0.0,
    dry_run: bool = False,
    confirm: Confirm = accept,
    progress: Report = silent,
) -> Restored:
    """`identity`: a file with the age identity, for secrets that are not here any more; `new_secrets`: make new ones then."""
    place = existing(find_store(name, store))
    with held(place, "restore", wait_s=lock_wait_s, shared=True):
        choice = choose(place, id_, wanted)
        work = _Restore(place, choice, progress)
        work.prepare(identity, new_secrets)
        if dry_run:
            return work.ended("planned")
        confirm_(confirm, work.intention())
        try:
            return work.run(lock_wait_s)
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"restore of '{place.deployment}' stopped: {work.stands()}",
                hint=work.next_step(),
            ) from error


class _Restore:
    def __init__(self, store: Store, choice: Choice, report: Report) -> None:
        self._store, self._choice, self._report = store, choice, report
        self._manifest: Manifest = choice.manifest
        self.target = LocalTarget(store.deployment)
        self._layout = self.target.layout
        self._began = time.monotonic()
        self._revisions = self._known_revisions()
        last = self._revisions[-1].release if self._revisions else Release.from_document(self._manifest.release)
        self.release = replace(last, artifacts=code_artifacts(), schema=schema_range())
        self._secrets: Mapping[str, bytes] = {}
        self._points: dict[int, Point] = {}
        self._behind: dict[int, int] = {}
        self._compared: tuple[Compared, ...] = ()
        self._notes: list[str] = []
        self._kept: Path | None = None
        self._paused = self._exchanged = 0.0

    def _known_revisions(self) -> tuple[Revision, ...]:
        """What stands here; where nothing does, those of the backup, beside any that a restore which was killed brought back."""
        here = {one.number: one for one in self.target.revisions()}
        if not self._layout.rollout_journal.exists():
            kept = (json.loads(self._store.get(name, "a revision")) for name in self._manifest.revisions)
            here = {one.number: one for one in map(Revision.from_document, kept)} | here
        return tuple(here[number] for number in sorted(here))

    def prepare(self, identity: Path | None, new_secrets: bool) -> None:
        """Whose data stand here, and which secrets there will be. Raises Refused; nothing is written."""
        data = self._layout.data
        if data.is_symlink() or data.is_mount():
            raise Refused(
                f"cannot restore '{self._store.deployment}': {data} is a {'link' if data.is_symlink() else 'mount'}, and a restore "
                "exchanges that folder for another one, at once",
                hint=f"put it back into {data.parent}; what may stand on another disk is the whole state home: HFTCTL_HOME=/FOLDER",
            )
        there, wanted = len(self._manifest.partitions), len(self.release.profile["partitions"])
        if there != wanted:
            raise Refused(
                f"cannot restore backup {self._manifest.id}: it has the journals of {there} partitions, and '{self._store.deployment}' "
                f"has {wanted}, of which those that are not in it would begin empty",
                hint=f"go back to a revision that had as many: hftctl history -p {self._store.deployment}, then hftctl rollback N; "
                f"or take another backup: hftctl backup list {self._store.named}",
            )
        for partition in self._manifest.partitions:
            self._whose(partition.partition, partition.journal)
        if self._layout.secrets.is_dir() and any(self._layout.secrets.iterdir()):
            self._secrets = {one.name: one.read_bytes() for one in self._layout.secrets.iterdir() if one.is_file()}
        elif self._manifest.secrets and identity is not None:
            self._secrets = unseal(self._store.get(self._manifest.secrets, "the secrets"), identity)
        elif new_secrets or self.release.profile["authentication"] == "none":
            self._notes.append("secrets are made anew: passwords, and API keys where there are any")
        else:
            has = "are encrypted in it" if self._manifest.secrets else "were left out of it"
            raise Refused(
                f"cannot restore '{self._store.deployment}': its API keys are not here, and {has}: clients would be turned away",
                hint="give the age identity: --identity FILE; or hand out new keys: --new-secrets",
            )

    def _whose(self, number: int, wanted: int) -> None:
        data = self._layout.partition(number)
        try:
            stands = int(json.loads((data / "limits.json").read_bytes())["journal"])
        except (OSError, ValueError, KeyError, TypeError):
            return  # lost or damaged: that is what a restore is for
        if stands != wanted:
            raise Refused(
                f"cannot restore backup {self._manifest.id} over '{self._store.deployment}': it is of another deployment of that "
                f"name: the journal of partition {number} begins with {wanted:#x} there, with {stands:#x} here",
                hint=f"to have that one instead: hftctl destroy -p {self._store.deployment} --data, then restore",
            )
        try:
            ends = int(journal.cut(data)["sequence"])
        except (DamageFound, NotFound) as error:
            self._notes.append(f"partition {number} as it stands: {error.message}")
            return
        point = self._choice.sequences.get(number)
        if point is None and self._choice.time_ns is None:
            point = next(one.sequence for one in self._manifest.partitions if one.partition == number)
        if point is None:
            point = int(journal.cut(data, until_ns=self._choice.time_ns)["sequence"])
        self._behind[number] = max(ends - point, 0)

    def intention(self) -> Intention:
        lost = [
            Finding("warning", f"partition-{number}", f"{count} commands of partition {number} came after that point: "
                    "they are only in the old data then, which are kept")
            for number, count in self._behind.items() if count
        ]  # fmt: skip
        return Intention(
            "restore", self._store.deployment, "local", self.release.environment, Plan(()), findings=tuple(lost)
        )

    def run(self, lock_wait_s: float) -> Restored:
        with self.target.lock(f"restore of backup {self._manifest.id}", wait_s=lock_wait_s):
            make_folder(self._layout.root, mode=0o700)
            swap.settle(self._layout)
            with scratch() as folder:
                beside = self._beside(folder)
                restored = swap.put_beside(self._layout, beside.layout.data)
                self._take_place(restored, beside)
        asked = Request(
            "restore", f"restore of backup {self._manifest.id}", prove_by_order, report=self._report, bake=False,
            timeout_s=float(self.release.profile["rollout"]["timeout_s"]), lock_wait_s=LOCK_WAIT_S,
        )  # fmt: skip
        ended = roll(self.target, self.release, asked)
        return self.ended(_word(ended), _error(ended))

    def _beside(self, folder: Path) -> Beside:
        beside = Beside(folder, self.release)
        beside.secrets(self._secrets)
        fetch(self._store, self._manifest, beside.layout.data, self._report)
        for partition in self._manifest.partitions:
            check_cut(partition, beside.layout.data)
        self._points = cut_there(self._choice, beside.layout.data)
        failure: list[HftctlError] = []

        def prove(_target: Target, _rollout: str, _partitions: int, _was_down: bool) -> Sequence[Mapping[str, Any]]:
            try:  # no order of ours goes in here: what comes back is exactly what was there
                wait_for_rows(beside.target, self._points, self._report, self._began)
                self._say("waiting", "comparing journal, replay, engine and rows")
                self._compared = tuple(
                    compare(beside.target, number, point, None) for number, point in self._points.items()
                )
            except HftctlError as error:
                failure.append(error)
                raise
            return ()

        ended = beside.bring_up(f"restore of backup {self._manifest.id}, beside", prove, self._report)
        if ended.result not in {"ready", "unchanged"}:
            raise (
                failure[0]
                if failure
                else Failed(
                    f"backup {self._manifest.id} does not come up again: {ended.cause}; nothing that stood was touched"
                )
            )
        beside.stop()
        return beside

    def _take_place(self, restored: Path, beside: Beside) -> None:
        swap.keep_secrets(self._layout, beside.layout.secrets)
        if not self._layout.rollout_journal.exists():
            for revision in self._revisions:
                self.target.record(revision)
        self._paused = time.monotonic()
        if self._layout.rollout_journal.exists():
            self._say("applying", "stopping what stands; the exchange comes next")
            with record_stop(self.target):
                self.target.stop()
        self._kept = swap.exchange(self._layout, restored)
        self._exchanged = time.monotonic()
        self._say("ready", "the restored data stand; old ones are kept" if self._kept else "the restored data stand")

    def stands(self) -> str:
        if self._exchanged:
            return "the restored data stand, old ones are kept"
        return "the old data stand, it may be stopped" if self._paused else "nothing that stood was touched"

    def next_step(self) -> str:
        again = f"give the same restore again: hftctl backup restore {self._manifest.id} {self._store.named}"
        if not self._layout.rollout_journal.exists():
            return again
        return f"bring up what stands: hftctl start -p {self._store.deployment}; or {again}"

    def ended(self, result: str, error: HftctlError | None = None) -> Restored:
        now = time.monotonic()
        return Restored(
            deployment=self._store.deployment,
            store=str(self._store.folder),
            backup=self._manifest.id,
            result=result,
            points=self._points,
            partitions=self._compared,
            kept=str(self._kept or ""),
            behind=self._behind,
            notes=tuple(self._notes),
            paused_s=round(now - self._paused, 3) if self._paused else 0.0,
            rto_s=round(now - self._began, 3),
            error=error,
        )

    def _say(self, state: str, message: str) -> None:
        self._report(Progress("restore", state, message, time.monotonic() - self._began))


def _word(ended: RolloutResult) -> str:
    return {"ready": "restored", "unchanged": "restored", "inconclusive": "inconclusive"}.get(ended.result, "failed")


def _error(ended: RolloutResult) -> HftctlError | None:
    """An order could not prove it where trading is halted in the journal, which is as it was."""
    if isinstance(ended.error, Inconclusive):
        return Inconclusive(f"the restored data stand, compared, but no order could prove them: {ended.cause}",
                            hint=ended.error.hint)  # fmt: skip
    return ended.error
