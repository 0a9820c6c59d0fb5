"""Revisions on this machine: one JSON file each, never changed; `release.json` is the release that was begun last."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hftctl.errors import DamageFound, Refused
from hftctl.paths import Layout, make_folder, write_atomic
from hftctl.release import Release, Revision

FORMAT = 1  # of both files; a higher one was written by a newer hftctl


def revisions(layout: Layout) -> Sequence[Revision]:
    """Oldest first."""
    return [revision(path, path.read_bytes()) for path in sorted(layout.revisions.glob("[0-9]*.json"))]


def revision(where: str | Path, data: bytes) -> Revision:
    """`where` a person finds it. Raises DamageFound."""
    try:
        return Revision.from_document(_document(where, data))
    except (ValueError, KeyError, TypeError) as error:
        aside = shlex.join(["mv", str(where), f"{where}.damaged"])
        raise DamageFound(f"revision file {where} is damaged: {error}", hint=f"move it away: {aside}") from error


def record(layout: Layout, revision: Revision) -> None:
    make_folder(layout.revisions, mode=0o700)
    write_atomic(layout.revisions / f"{revision.number:06d}.json", text(revision.document()), mode=0o600)


def write_release(layout: Layout, release: Release) -> None:
    """With its hash, which gateways show: they need not be started anew when only others change."""
    write_atomic(layout.release, text({"hash": release.hash, **release.document()}), mode=0o600)


def read_release(layout: Layout) -> Release | None:
    """None before the first deploy."""
    try:
        return Release.from_document(_document(layout.release, layout.release.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DamageFound(
            f"{layout.release} is damaged: {error}", hint=f"write it again: hftctl start -p {layout.name}"
        ) from error


def text(document: dict[str, Any]) -> str:
    return json.dumps({"format": FORMAT, **document}, indent=1)


def _document(path: str | Path, data: bytes) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(data)
    if not isinstance(read, dict):
        raise TypeError("it is no mapping")
    if int(read.get("format", FORMAT)) > FORMAT:
        raise Refused(
            f"{path} was written by a newer hftctl: its format is {read['format']}, and this one knows {FORMAT}",
            hint="use that hftctl; this one has changed nothing",
        )
    return read
