"""Take a backup of a deployment, running or not. No order waits for it: journals only grow, and only what is durable is read.

What is copied already is named again: every full chunk of a journal that still is what it was at the last backup (its
chain says so), and everything else whose content is there. The manifest is written last.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hftctl import __version__, paths
from hftctl.archive import manifest as manifests
from hftctl.archive.manifest import CHUNK_BYTES, Manifest, Partition, Segment
from hftctl.archive.sealing import recipient_of, seal
from hftctl.archive.store import Store
from hftctl.errors import DamageFound, Failed, HftctlError, Interrupted, NotFound, Refused, UsageError
from hftctl.operations.backup import journal
from hftctl.operations.backup.place import AWAY, find_store, held
from hftctl.operations.rollout import actor, new_id
from hftctl.operations.standing import open_standing, open_target, recorded
from hftctl.operations.terms import Report, TargetFactory, silent
from hftctl.plan.execute import Progress
from hftctl.targets.base import Target

ENGINE_TIMEOUT_S = 5.0
HEADER_BYTES = 4096
MARK = r"[a-z][a-z0-9._-]{0,62}"  # none looks like an id
DERIVED = "event logs, snapshots, PostgreSQL and Valkey: rebuilt from the journal"


@dataclass(frozen=True)
class Created:
    manifest: Manifest
    store: Store
    objects: int  # that belong to it
    copied: int  # of them, those that were not there yet


def create(
    name: str | None,
    *,
    store: Path | None = None,
    recipient: str = "",
    mark: str = "",
    lock_wait_s: float = 0.0,
    targets: TargetFactory = open_target,
    progress: Report = silent,
) -> Created:
    """`recipient` (the profile's without one): who can read the secrets. Without any they are left out, and that is said.
    `mark` names the point, so that a restore and a prune know it; each name once. Raises Refused and UsageError."""
    if mark and not re.fullmatch(MARK, mark):
        raise UsageError(f"'{mark}' is no name of a mark: up to 63 of a-z, 0-9, dot, - and _, a letter first")
    target = open_standing(name, targets=targets)
    place = find_store(target.deployment, store)
    _check(place, target)
    release = recorded(target, "back up").release
    recipient = recipient or str(release.profile.get("backup", {}).get("recipient", ""))
    if recipient:
        recipient_of(recipient)  # before anything is copied
    place.make()
    try:
        with held(place, f"backup ({mark or 'create'})", wait_s=lock_wait_s):
            if mark and (taken := manifests.marks(place).get(mark)):
                raise Refused(
                    f"cannot mark '{place.deployment}' as '{mark}': backup {taken} has that name",
                    hint=f"take another name; or free it: hftctl backup prune --unmark {mark} {place.named}",
                )
            place.sweep()
            return _Backup(place, target, recipient, mark, progress).run()
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"backup of '{place.deployment}' stopped by SIGINT: there is none of it, what it had copied is not copied again",
            hint=f"hftctl backup create {place.named}",
        ) from error


def _check(store: Store, target: Target) -> None:
    if target.name != "local":
        raise Refused(
            f"cannot back up '{store.deployment}': it stands on the target {target.name}, and backups are of the target local so far"
        )
    home = paths.home()
    if store.folder.resolve() == home or home in store.folder.resolve().parents:
        raise UsageError(
            f"cannot keep backups in {store.folder}: it is lost together with the state home {home}", hint=AWAY
        )


class _Backup:
    def __init__(self, store: Store, target: Target, recipient: str, mark: str, report: Report) -> None:
        self._store, self._target = store, target
        self._recipient, self._mark, self._report = recipient, mark, report
        self._layout = paths.layout(store.deployment)
        self._before = _trusted(store)
        self._started = time.monotonic()
        self._written = self._copied = 0
        self._done_bytes = 0

    def run(self) -> Created:
        created_ns = time.time_ns()
        release = recorded(self._target, "back up").release
        partitions = tuple(self._partition(number) for number in range(len(release.profile["partitions"])))
        revisions = tuple(
            self._put(json.dumps(revision.document(), sort_keys=True).encode()) for revision in self._target.revisions()
        )
        secrets, left_out = self._secrets()
        made = Manifest(
            id=manifests.later(self._store.backups, new_id()),
            deployment=self._store.deployment,
            made_by="mark" if self._mark else "create",
            mark=self._mark,
            actor=actor(),
            created_ns=created_ns,
            took_s=round(time.monotonic() - self._started, 3),
            version=__version__,
            release=release.document(),
            revisions=revisions,
            secrets=secrets,
            recipient=self._recipient if secrets else "",
            partitions=partitions,
            left_out=left_out,
            previous=self._before.id if self._before else "",
            stored_bytes=self._written,
        )
        missing = [name for name in set(made.objects()) if not self._store.has(name)]
        if missing:
            raise DamageFound(f"{self._store.path(missing[0])} was there and is gone: somebody else changes this store")
        manifests.write(self._store, made)
        self._say("ready", f"backup {made.id} is whole")
        return Created(made, self._store, len(set(made.objects())), self._copied)

    def _partition(self, number: int) -> Partition:
        data = self._layout.partition(number)
        before = (
            next((one for one in self._before.partitions if one.partition == number), None) if self._before else None
        )
        found = journal.cut(data, until=self._durable(number), known=before.sequence if before else None)
        if found["deployment"] not in ("", self._store.deployment):
            raise Refused(f"{data} holds a journal of deployment '{found['deployment']}'")
        if before is not None and before.journal != found["journal"]:
            raise Refused(
                f"cannot back up '{self._store.deployment}' to {self._store.folder}: the backups there are of another deployment "
                f"of that name, the journal of its partition {number} begins with {before.journal:#x}, this one with "
                f"{found['journal']:#x}",
                hint="use another folder: --store DIR",
            )
        grown = before is not None and found["known_chain"] == before.chain
        known = {one.number: one for one in before.segments} if before is not None and grown else {}
        whole = sum(one["end"] for one in found["segments"])
        segments = tuple(self._segment(data, one, known.get(one["number"]), whole) for one in found["segments"])
        return Partition(
            partition=number,
            journal=found["journal"],
            sequence=found["sequence"],
            chain=found["chain"],
            time_ns=found["time_ns"],
            limits=(data / "limits.json").read_text(),
            segments=segments,
        )

    def _durable(self, partition: int) -> int | None:
        """What the engine calls durable; None where none answers: then what the journal holds is all there is."""
        try:
            answer = self._target.ask_engine(partition, {"command": "status"}, timeout_s=ENGINE_TIMEOUT_S)
        except NotFound:
            return None
        return int(answer["durable_sequence"])

    def _segment(self, data: Path, found: Mapping[str, Any], known: Segment | None, whole: int) -> Segment:
        end, chunks = int(found["end"]), list[str]()
        if known is not None and known.epoch == found["epoch"]:  # full ones never change
            full = (min(known.end, end) - HEADER_BYTES) // CHUNK_BYTES
            chunks = list(known.chunks if known.end == end else known.chunks[:full])
            chunks = chunks if all(map(self._store.has, chunks)) else []
        path = data / "journal" / f"{found['number']:08d}.journal"
        with path.open("rb", buffering=0) as file:
            for offset in range(HEADER_BYTES + len(chunks) * CHUNK_BYTES, end, CHUNK_BYTES):
                size = min(CHUNK_BYTES, end - offset)
                file.seek(offset)
                content = file.read(size)
                if len(content) != size:
                    raise Failed(f"{path} has no {size} bytes at {offset} any more; was it restored meanwhile?")
                chunks.append(self._put(content))
                self._done_bytes += size
                self._say("applying", f"{self._done_bytes >> 20} of at most {whole >> 20} MiB", figures=True)
        return Segment(found["number"], found["bytes"], end, found["epoch"], found["header"], tuple(chunks))

    def _secrets(self) -> tuple[str, tuple[str, ...]]:
        if not self._recipient:
            return "", (DERIVED, "secrets (passwords, API keys): no recipient was given to encrypt them to")
        files = {path.name: path.read_bytes() for path in self._layout.secrets.iterdir() if path.is_file()}
        return self._put(seal(files, self._recipient)), (DERIVED,)

    def _put(self, content: bytes) -> str:
        name, written = self._store.put(content)
        self._written += written
        self._copied += written > 0
        return name

    def _say(self, state: str, message: str, *, figures: bool = False) -> None:
        self._report(Progress("backup", state, message, time.monotonic() - self._started, figures=figures))


def _trusted(store: Store) -> Manifest | None:
    """The newest whole one. A damaged one costs copying anew, and is for `verify` to tell of."""
    for id_ in reversed(manifests.ids(store)):
        try:
            return manifests.read(store, id_)
        except HftctlError:
            continue
    return None
