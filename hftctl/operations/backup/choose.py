"""To which point, and from which backup: now, a command of each partition, or a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hftctl.archive import manifest as manifests
from hftctl.archive.manifest import Manifest
from hftctl.archive.store import Store
from hftctl.errors import NotFound, UsageError
from hftctl.operations.backup import journal
from hftctl.operations.backup.compare import Point
from hftctl.operations.backup.look import chosen


@dataclass(frozen=True)
class Wanted:
    """One of these at most; none: everything that is in the backup."""

    sequences: Mapping[int, int] = field(default_factory=dict)  # partition -> last command
    time_ns: int | None = None

    def __post_init__(self) -> None:
        if self.sequences and self.time_ns is not None:
            raise UsageError("to which point? --to-sequence or --to-time, not both")


@dataclass(frozen=True)
class Choice:
    manifest: Manifest
    sequences: Mapping[int, int]
    time_ns: int | None


def choose(store: Store, id_: str | None, wanted: Wanted) -> Choice:
    """Without an id: for a command the newest backup that has it, for a time the first one made after it, because a
    restore in between may have taken another way since. Raises NotFound."""
    sequences = wanted.sequences
    if id_ is not None or not (sequences or wanted.time_ns is not None):
        manifest = chosen(store, id_)
        if not _covers(manifest, sequences, wanted.time_ns):
            raise _behind(store, manifest)
        return Choice(_checked(manifest, sequences), sequences, wanted.time_ns)
    there = manifests.ids(store)
    for one in there if wanted.time_ns is not None else reversed(there):
        manifest = manifests.read(store, one)
        if _covers(manifest, sequences, wanted.time_ns):
            return Choice(_checked(manifest, sequences), sequences, wanted.time_ns)
    raise _behind(store, chosen(store, None))


def _covers(manifest: Manifest, sequences: Mapping[int, int], time_ns: int | None) -> bool:
    if time_ns is not None and manifest.created_ns < time_ns:
        return False
    return all(one.sequence >= sequences.get(one.partition, 0) for one in manifest.partitions)


def _checked(manifest: Manifest, sequences: Mapping[int, int]) -> Manifest:
    there = {one.partition for one in manifest.partitions}
    if sequences and set(sequences) != there:
        raise UsageError(
            f"the backup has the partitions {', '.join(map(str, sorted(there)))}: name a command for each",
            hint="--to-sequence PARTITION=SEQUENCE, once per partition; or --to-time for all",
        )
    return manifest


def _behind(store: Store, manifest: Manifest) -> NotFound:
    ends = ", ".join(f"command {one.sequence} of partition {one.partition}" for one in manifest.partitions)
    return NotFound(
        f"that point lies behind backup {manifest.id} of '{store.deployment}', which ends with {ends}",
        hint=f"take one that has it: hftctl backup create {store.named}",
    )


def cut_there(choice: Choice, data: Path) -> dict[int, Point]:
    """Cut the fetched journals where that was wanted; where each partition ends then. Raises DamageFound."""
    points = {}
    for partition in choice.manifest.partitions:
        number = partition.partition
        point = Point(partition.sequence, partition.chain, partition.time_ns)
        if choice.sequences or choice.time_ns is not None:
            folder = data / f"partition-{number}"
            found = journal.cut(folder, until=choice.sequences.get(number), until_ns=choice.time_ns, apply=True)
            point = Point(found["sequence"], found["chain"], found["time_ns"])
        points[number] = point
    return points
