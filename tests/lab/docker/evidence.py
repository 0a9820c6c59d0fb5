"""What stands on a Docker engine after the storm, read as the fault tests of the local target read it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.faults.evidence import Evidence, gather
from tests.faults.history import check
from tests.lab.docker.packages import CACHE
from tests.lab.docker.scene import Scene


@dataclass
class Copied:
    """A deployment's folder as the local target has it, out of its volumes."""

    folder: Path
    http: int


def of(scene: Scene, folder: Path) -> Evidence:
    """While nobody trades: the journal is copied as it lies in its volume."""
    volumes = CACHE / "docker" / "volumes"
    place = folder / "evidence"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(volumes / f"hftctl-{scene.name}-partition-0" / "_data", place / "data" / "partition-0")
    shutil.copytree(volumes / f"hftctl-{scene.name}-secrets" / "_data", place / "secrets")
    networks = scene.inspect("postgres-0")["NetworkSettings"]["Networks"]
    address = next(iter(networks.values()))["IPAddress"]
    (place / "config").mkdir()
    postgres = {"host": address, "port": 5432, "database": "hft", "user": "hft"}
    (place / "config" / "gateway-1.json").write_text(json.dumps({"postgres": postgres}))
    return gather(Copied(place, scene.http))  # type: ignore[arg-type]


@dataclass
class Judged:
    """All that clients of a deployment were ever told, against its journal, its database and its book."""

    verdict: str
    counts: dict[str, int]
    rows: int
    problems: list[str]

    @property
    def good(self) -> bool:
        return self.verdict == "valid" and not self.problems

    def __str__(self) -> str:
        return f"**{self.verdict}** {self.counts}; {self.rows} rows compared, {len(self.problems)} problems"


def judge(scene: Scene, folder: Path) -> Judged:
    try:
        evidence = of(scene, folder)
    except (OSError, psycopg.Error) as error:
        return Judged("unknown", {}, 0, [f"what stands cannot be read: {error}"])
    verdict = check(scene.history, evidence.truth, incomplete=evidence.incomplete)
    return Judged(
        verdict.name, verdict.counts, evidence.rows, [*verdict.broken, *verdict.incomplete, *evidence.problems]
    )
