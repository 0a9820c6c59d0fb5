"""What stands, or shall stand, on a target: a release, and the numbered record that it did."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hftctl.paths import package_folder

CODE = (".py", ".so", ".sql", ".json", ".yaml", ".conf")  # what runs; sources of compiled parts are in their .so


@dataclass(frozen=True)
class Release:
    """A resolved profile and everything built for it, under one content hash."""

    deployment: str
    target: str
    environment: str
    profile: Mapping[str, Any]  # resolved: every key has a value; plain JSON values
    artifacts: Mapping[str, str]  # what runs: component or image -> digest; local: content hash of each code package
    schema: tuple[int, int] = (1, 1)  # oldest and newest database schema this release works with
    tuning: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 over the canonical JSON of all fields, hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_document(cls, read: Mapping[str, Any]) -> Release:
        """Raises KeyError or TypeError when it is not a release."""
        oldest, newest = read["schema"]
        return cls(
            deployment=read["deployment"],
            target=read["target"],
            environment=read["environment"],
            profile=dict(read["profile"]),
            artifacts=dict(read["artifacts"]),
            schema=(int(oldest), int(newest)),
            tuning=dict(read["tuning"]),
        )


@dataclass(frozen=True)
class Revision:
    """The nth release recorded on a target."""

    number: int
    release: Release
    created_ns: int
    actor: str  # user@host
    why: str
    rollout: str  # id of the rollout that made it
    proof: Mapping[str, Any] = field(default_factory=dict)  # the orders it proved itself with

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_document(cls, read: Mapping[str, Any]) -> Revision:
        """Raises KeyError or TypeError when it is not a revision."""
        return cls(
            number=int(read["number"]),
            release=Release.from_document(read["release"]),
            created_ns=int(read["created_ns"]),
            actor=read["actor"],
            why=read["why"],
            rollout=read["rollout"],
            proof=dict(read["proof"]),
        )


def code_artifacts() -> dict[str, str]:
    """What the local target runs: a content hash of each installed code package, its compiled parts included."""
    return {package: _content_hash(package_folder(package)) for package in ("engine", "stack")}


def schema_range() -> tuple[int, int]:
    """Migrations are expand-only, so this code works with every schema from the first to the newest it brings."""
    numbers = [
        int(path.name[1:5]) for path in (package_folder("stack") / "schema").glob("V[0-9][0-9][0-9][0-9]__*.sql")
    ]
    return (1, max(numbers, default=1))


def _content_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in CODE and path.is_file()):
        name = str(path.relative_to(folder)).encode()
        content = path.read_bytes()
        digest.update(b"%d %s %d " % (len(name), name, len(content)) + content)
    return digest.hexdigest()
