"""Records of a deployment in its namespace: the journal of rollouts and the revisions in Secrets, the release in a ConfigMap.

Who talks to the same cluster, from whichever machine, reads the same. Nothing here is a secret: Secrets are what fewer may read. Every
write asks whether we still hold the lock first.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hftctl.plan.journal_file import NONE
from hftctl.targets.kubernetes import lease, names
from hftctl.targets.kubernetes.api import Api, Object

PIECE_BYTES = (
    700 << 10
)  # of a record: an object may have 1 MiB, and its data stand in it by four characters for three bytes
REVISION_TYPE = "hftctl.io/revision"


class Store:
    def __init__(self, api: Api, deployment: str) -> None:
        self._api, self._deployment = api, deployment
        self._lease: lease.Lease | None = None

    @property
    def _namespace(self) -> str:
        return names.namespace(self._deployment)

    # the lock

    @contextmanager
    def lock(self, why: str, *, wait_s: float, shared: bool) -> Iterator[None]:
        before = self._lease

        def held(taken: lease.Lease) -> None:
            self._lease = taken

        try:
            with lease.hold(self._api, self._deployment, why, wait_s=wait_s, shared=shared, held=held):
                yield
        finally:
            self._lease = before

    def check(self) -> None:
        """Before a change of anything else: raises Failed when our lock is lost."""
        if self._lease is not None:
            self._lease.check()

    # one record in one object

    def read(self, kind: str, name: str) -> Object | None:
        return self._api.get(kind, name, self._namespace)

    def write(self, kind: str, name: str, **fields: Any) -> None:
        self.check()
        self._api.apply(self.record(kind, name, **fields))

    def record(self, kind: str, name: str, **fields: Any) -> Object:
        meta = {"name": name, "namespace": self._namespace, "labels": names.labels(self._deployment)}
        return {"apiVersion": "v1", "kind": kind, "metadata": meta, **fields}

    # revisions

    def revisions(self) -> dict[int, bytes]:
        """By number; each is whole."""
        pieces: dict[int, dict[int, Object]] = {}
        for one in self._api.list(
            "Secret", self._namespace, f"{names.selector(self._deployment)},{names.REVISION_NUMBER}"
        ):
            labels = one["metadata"]["labels"]
            pieces.setdefault(int(labels[names.REVISION_NUMBER]), {})[int(labels[names.PIECE])] = one
        return {number: _joined(pieces[number]) for number in sorted(pieces)}

    def write_revision(self, number: int, document: bytes) -> None:
        """The first piece comes last: until then there is no revision."""
        packed = zlib.compress(document)
        parts = [packed[at : at + PIECE_BYTES] for at in range(0, len(packed), PIECE_BYTES)]
        for index in reversed(range(len(parts))):
            self.check()
            made = self.record(
                "Secret",
                f"{names.REVISION}-{number:06d}-{index}",
                type=REVISION_TYPE,
                data={"piece": base64.b64encode(parts[index]).decode()},
            )
            made["metadata"]["labels"] |= {names.REVISION_NUMBER: str(number), names.PIECE: str(index)}
            made["metadata"]["annotations"] = {names.PIECES: str(len(parts))}
            self._api.apply(made)


def _joined(pieces: dict[int, Object]) -> bytes:
    count = int(pieces[0]["metadata"]["annotations"][names.PIECES]) if 0 in pieces else 0
    if not all(index in pieces for index in range(count)) or not count:
        return b""  # killed while it was written: it never was one
    return zlib.decompress(b"".join(base64.b64decode(pieces[index]["data"]["piece"]) for index in range(count)))


class StoredJournal:
    """`hftctl.plan.journal_file.JournalFile` in a Secret, packed. What two write at once is refused to the second one."""

    def __init__(self, api: Api, store: Store) -> None:
        self._api, self._store = api, store
        self._found: Object | None = None

    def read(self) -> bytes:
        self._found = self._store.read("Secret", names.JOURNAL)
        return _unpacked(self._found) if self._found is not None else b""

    def size(self) -> int:
        return len(self.read()) or NONE

    def append(self, data: bytes, at: int) -> None:
        if self._found is None:
            self.read()
        self._write((_unpacked(self._found) if self._found is not None else b"")[:at] + data)

    def replace(self, data: bytes) -> None:
        self.read()
        self._write(data)

    def _write(self, content: bytes) -> None:
        self._store.check()
        data = {"journal": base64.b64encode(zlib.compress(content)).decode()}
        if self._found is None:
            self._found = self._api.create(
                self._store.record("Secret", names.JOURNAL, type="hftctl.io/journal", data=data)
            )
        else:
            self._found = self._api.replace({**self._found, "data": data})


def _unpacked(found: Object) -> bytes:
    return zlib.decompress(base64.b64decode(found["data"]["journal"]))


def secret(found: Object | None) -> dict[str, str]:
    """The texts of a Secret."""
    return {name: base64.b64decode(text).decode() for name, text in ((found or {}).get("data") or {}).items()}
