"""What stands, or shall stand, on a target: a release, and the numbered record that it did."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Release:
    """A resolved profile and everything built for it, under one content hash."""

    deployment: str
    target: str
    environment: str
    profile: Mapping[str, Any]  # resolved: every key has a value; plain JSON values
    artifacts: Mapping[
        str, str
    ]  # what runs: component or image -> digest; on the local target: content hash of the code
    schema: tuple[int, int] = (1, 1)  # oldest and newest database schema this release works with
    tuning: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 over the canonical JSON of all fields, hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


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
