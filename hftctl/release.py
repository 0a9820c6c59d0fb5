"""What stands, or shall stand, on a target: a release, and the numbered record that it did."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hftctl.paths import package_folder

NEEDS = re.compile(r"^-- needs V([0-9]{4})$", re.MULTILINE)
CODE = (".py", ".so", ".sql", ".json", ".yaml", ".conf")  # what runs; sources of compiled parts are in their .so


@dataclass(frozen=True)
class Release:
    """A resolved profile and everything built for it, under one content hash."""

    deployment: str
    target: str
    environment: str
    profile: Mapping[str, Any]  # resolved: every key has a value; plain JSON values
    artifacts: Mapping[str, str]  # what runs: component or image -> digest; local: content hash of each code package
    schema: tuple[int, int] = (
        1,
        1,
    )  # newest migration that code must bring to work on what it leaves; newest it brings
    tuning: Mapping[str, Any] = field(default_factory=dict)

    @property
    def migrations(self) -> dict[str, int]:
        """`schema`, as a spec of the migrations says it."""
        needs, brings = self.schema
        return {"needs": needs, "brings": brings}

    @property
    def hash(self) -> str:
        """SHA-256 over the canonical JSON of all fields, hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_document(cls, read: Mapping[str, Any]) -> Release:
        """Raises KeyError or TypeError when it is not a release."""
        needs, newest = read["schema"]
        return cls(
            deployment=read["deployment"],
            target=read["target"],
            environment=read["environment"],
            profile=dict(read["profile"]),
            artifacts=dict(read["artifacts"]),
            schema=(int(needs), int(newest)),
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
    """`Release.schema` of the installed code. `stack/schema/migrations.py` says what a file's `-- needs` line means."""
    needs, newest = [1], [1]
    for path in (package_folder("stack") / "schema").glob("V[0-9][0-9][0-9][0-9]__*.sql"):
        newest.append(int(path.name[1:5]))
        needs += [int(number) for number in NEEDS.findall(path.read_text())]
    return (max(needs), max(newest))


def _content_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in CODE and path.is_file()):
        name = str(path.relative_to(folder)).encode()
        content = path.read_bytes()
        digest.update(b"%d %s %d " % (len(name), name, len(content)) + content)
    return digest.hexdigest()
