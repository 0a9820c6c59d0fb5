"""What is kept here for the hour in which the API server is away: the public door, the operator's key, how many engines there are.

Enough for a halt, which goes in at the door like any request. Written whenever a revision is recorded; 0600, as it holds a key.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hftctl import paths
from hftctl.targets.base import ComponentStatus
from hftctl.targets.kubernetes.cluster import FOLDER


@dataclass(frozen=True)
class Kept:
    endpoint: str
    key: str
    partitions: int

    def engines(self) -> Sequence[ComponentStatus]:
        said = "the API server does not answer, so nobody can tell; it stood when the last revision was recorded here"
        return [ComponentStatus(f"engine-{number}", "missing", False, said) for number in range(self.partitions)]


def keep(deployment: str, found: Kept) -> None:
    if read(deployment) == found:
        return
    paths.make_folder(_file(deployment).parent, mode=0o700)
    paths.write_atomic(_file(deployment), json.dumps(asdict(found)), mode=0o600)


def read(deployment: str) -> Kept | None:
    try:
        return Kept(**json.loads(_file(deployment).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None  # damaged is as good as none: whoever needed it is told that the API server is away


def forget(deployment: str) -> None:
    _file(deployment).unlink(missing_ok=True)


def _file(deployment: str) -> Path:
    return paths.home() / FOLDER / f"{paths.check_name(deployment)}.emergency"
