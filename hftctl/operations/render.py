"""A release as files in a folder, for people to read, compare and keep: `hftctl render`. Deploys read nothing of it.

The folder is ours as long as nobody edits in it: `rendered.json` says what was written, so that the next time what is not wanted any
more goes, and what somebody changed or put there stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hftctl.errors import Failed, Refused
from hftctl.operations.deploy import make_release
from hftctl.operations.standing import open_target
from hftctl.operations.terms import TargetFactory
from hftctl.paths import write_atomic
from hftctl.release import Release

LIST = "rendered.json"


@dataclass(frozen=True)
class Rendered:
    deployment: str
    target: str
    release: str  # hash
    folder: str
    files: tuple[str, ...]
    removed: tuple[str, ...]  # of an earlier one, not wanted any more


def render(
    profile: Mapping[str, Any],
    folder: Path,
    *,
    name: str | None = None,
    tag: str | None = None,
    targets: TargetFactory = open_target,
) -> Rendered:
    """Raises Refused before the first write where something in `folder` is not as an earlier render left it."""
    release = make_release(profile, name=name, tag=tag)
    wanted = dict(targets(release.target, release.deployment).rendered(release))
    try:
        removed = _left_over(folder, release, wanted)
        for one, content in wanted.items():
            path = folder / one
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content)
        told = {"deployment": release.deployment, "target": release.target, "release": release.hash,
                "files": {one: _digest(content) for one, content in sorted(wanted.items())}}  # fmt: skip
        write_atomic(folder / LIST, json.dumps(told, indent=1) + "\n")
        for one in removed:
            (folder / one).unlink(missing_ok=True)
    except OSError as error:
        raise Failed(f"cannot render to {folder}: {error.strerror} ({error.filename})") from error
    return Rendered(release.deployment, release.target, release.hash, str(folder), tuple(sorted(wanted)), removed)


def _left_over(folder: Path, release: Release, wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Files of an earlier render of the same deployment that are not wanted any more. Raises Refused."""
    folder.mkdir(parents=True, exist_ok=True)
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    if not there:
        return ()
    cannot, other = f"cannot render to {folder}", "choose another folder, or move that away"
    before = _list(folder)
    if before is None:
        raise Refused(f"{cannot}: it is not empty, and no render wrote it", hint=other)
    if (of := (before["target"], before["deployment"])) != (release.target, release.deployment):
        raise Refused(
            f"{cannot}: it holds '{of[1]}' on {of[0]}, not '{release.deployment}' on {release.target}", hint=other
        )
    # Killed while it wrote, a render leaves files that its list does not know yet; they are what it would write now.
    known = {one: {digest, _digest(wanted.get(one, ""))} for one, digest in before["files"].items()}
    known |= {one: {_digest(text)} for one, text in wanted.items() if one not in known}
    for one, path in sorted(there.items()):
        if one != LIST and one not in known:
            raise Refused(f"{cannot}: {one} is not of a render", hint=other)
        if one != LIST and _digest(path.read_text(errors="replace")) not in known[one]:
            raise Refused(f"{cannot}: {one} was edited since it was rendered", hint=other)
    return tuple(sorted(one for one in before["files"] if one in there and one not in wanted))


def _list(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / LIST).read_bytes())
        found["files"] = {str(one): str(digest) for one, digest in found["files"].items()}
        return found if {"target", "deployment"} <= set(found) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
