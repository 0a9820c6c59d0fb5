"""The manifest of a backup: everything that belongs to it, under one hash. It is written last and at once, so a backup
without a whole manifest does not exist.

A partition's journal is described by its cut (the last command in it, and the chain after that) and by its segments, each
with its header and its records in chunks of CHUNK_BYTES. A chunk that is full never changes, so the next backup names it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hftctl.archive.store import Store
from hftctl.errors import DamageFound, HftctlError, NotFound, Refused
from hftctl.paths import write_atomic

FORMAT = 2  # 2: marks
CHUNK_BYTES = 4 << 20  # of records; what is sent again of a segment that grows is less than this


@dataclass(frozen=True)
class Segment:
    number: int
    bytes: int  # of the file
    end: int  # offset behind the last record
    epoch: int
    header: str  # its first 4096 bytes, base64 without the zeros at their end
    chunks: tuple[str, ...]  # names of objects


@dataclass(frozen=True)
class Partition:
    partition: int
    journal: int  # where its chain begins: whose it is
    sequence: int  # of the last command
    chain: int  # after that one
    time_ns: int  # of that command
    limits: str  # limits.json as it stood
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Manifest:
    id: str
    deployment: str
    made_by: str  # create | mark
    actor: str  # user@host
    created_ns: int  # everything acknowledged before is in it
    took_s: float
    version: str  # of hftctl
    release: Mapping[str, Any]
    revisions: tuple[str, ...]  # objects
    secrets: str  # object, encrypted; empty: left out
    recipient: str  # who can read them
    partitions: tuple[Partition, ...]
    left_out: tuple[str, ...]  # what a reader might miss, and why
    previous: str = ""  # id of the one before
    stored_bytes: int = 0  # written for it; what was there already not counted
    mark: str = ""  # the name somebody gave this point
    format: int = field(default=FORMAT)

    @property
    def commands(self) -> int:
        return sum(partition.sequence for partition in self.partitions)

    def objects(self) -> Iterator[str]:
        yield from self.revisions
        if self.secrets:
            yield self.secrets
        for partition in self.partitions:
            for segment in partition.segments:
                yield from segment.chunks


def digest(document: Mapping[str, Any]) -> str:
    """Over everything but itself."""
    rest = {key: value for key, value in document.items() if key != "hash"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(document: Mapping[str, Any]) -> str:
    """As it is written: with its hash."""
    plain = json.loads(json.dumps(document))
    return json.dumps({**plain, "hash": digest(plain)}, indent=1)


def opened(path: Path, what: str) -> dict[str, Any]:
    """A document written with `sealed`. Raises DamageFound and NotFound."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotFound(f"there is no {what} {path.stem} in {path.parent}") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise DamageFound(f"the {what} {path} is damaged: {error}") from None
    if not isinstance(document, dict) or document.get("hash") != (found := digest(document)):
        said = document.get("hash") if isinstance(document, dict) else None
        raise DamageFound(f"the {what} {path} is damaged: its content has the hash {found}, and it says {said}")
    if int(document.get("format", FORMAT)) > FORMAT:
        raise Refused(f"{path} has format {document['format']}, and this hftctl knows {FORMAT}", hint="use a newer one")
    return document


def write(store: Store, manifest: Manifest) -> None:
    """Raises Failed."""
    try:
        write_atomic(store.backups / f"{manifest.id}.json", sealed(asdict(manifest)), mode=0o600)
    except OSError as error:
        raise store.failed(error) from error


def read(store: Store, id_: str) -> Manifest:
    """Raises DamageFound and NotFound."""
    path = store.backups / f"{id_}.json"
    document = opened(path, "manifest")
    if document["deployment"] != store.deployment or document["id"] != id_:
        raise DamageFound(
            f"the manifest {path} is of backup {document['id']} of deployment '{document['deployment']}', not of this one"
        )
    partitions = tuple(
        Partition(
            **{
                **one,
                "segments": tuple(Segment(**{**part, "chunks": tuple(part["chunks"])}) for part in one["segments"]),
            }
        )
        for one in document["partitions"]
    )
    lists = {name: tuple(document[name]) for name in ("revisions", "left_out")}
    rest = {key: value for key, value in document.items() if key != "hash"}
    return Manifest(**{**rest, **lists, "partitions": partitions})


def find(store: Store, id_or_mark: str) -> str:
    """The id of a backup, which may be damaged. Raises NotFound."""
    if id_or_mark in ids(store):
        return id_or_mark
    marked = marks(store)
    if id_or_mark in marked:
        return marked[id_or_mark]
    known = f"; the marks there are {', '.join(marked)}" if marked else ""
    raise NotFound(
        f"there is no backup '{id_or_mark}' of '{store.deployment}' in {store.folder}{known}",
        hint=f"see what there is: hftctl backup list {store.named}",
    )


def marks(store: Store) -> dict[str, str]:
    """Mark -> id of its backup, oldest first; a damaged manifest has none that could be trusted."""
    found = {}
    for id_ in ids(store):
        with suppress(HftctlError):
            if mark := read(store, id_).mark:
                found[mark] = id_
    return found


def ids(store: Store) -> list[str]:
    """Oldest first."""
    return _ids(store.backups)


def _ids(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("[0-9]*.json"))


def later(folder: Path, id_: str) -> str:
    """This id; or, where it would not sort behind the newest there (two within a second, a clock put back), the one after that."""
    there = _ids(folder)
    if not there or id_ > there[-1]:
        return id_
    stem, _, number = there[-1].rpartition("-")
    following = f"{int(number, 16) + 1:0{len(number)}x}"
    return f"{stem}-{following}" if len(following) == len(number) else f"{there[-1]}0"


def newest(store: Store) -> Manifest | None:
    """None where there is none. Raises DamageFound."""
    there = ids(store)
    return read(store, there[-1]) if there else None
