"""Revisions on this machine: one JSON file each, never changed; `release.json` is the release that was begun last."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hftctl.errors import DamageFound
from hftctl.paths import Layout, make_folder, write_atomic
from hftctl.release import Release, Revision


def revisions(layout: Layout) -> Sequence[Revision]:
    """Oldest first."""
    found = []
    for path in sorted(layout.revisions.glob("[0-9]*.json")):
        try:
            found.append(Revision.from_document(json.loads(path.read_bytes())))
        except (ValueError, KeyError, TypeError) as error:
            raise DamageFound(
                f"revision file {path} is damaged: {error}", hint=f"move it away: mv {path} {path}.damaged"
            ) from error
    return found


def record(layout: Layout, revision: Revision) -> None:
    make_folder(layout.revisions, mode=0o700)
    write_atomic(
        layout.revisions / f"{revision.number:06d}.json", json.dumps(revision.document(), indent=1), mode=0o600
    )


def write_release(layout: Layout, release: Release) -> None:
    write_atomic(layout.release, json.dumps(release.document(), indent=1), mode=0o600)


def read_release(layout: Layout) -> Release | None:
    """None before the first deploy."""
    try:
        return Release.from_document(json.loads(layout.release.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DamageFound(
            f"{layout.release} is damaged: {error}", hint=f"write it again: hftctl deploy {layout.name}"
        ) from error
