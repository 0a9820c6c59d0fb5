"""What stood on a host before us: the first pre-image of each place, kept until a revert has put it back.

A later apply never replaces it. Beside it stands everything that we wrote there since, so that a revert can tell our values
from somebody else's. Durable before the first write of an apply; a death in between leaves entries of places that are as
they were, which a revert passes over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hftctl.errors import DamageFound
from hftctl.paths import make_folder, write_atomic
from hftctl.plan.change import Change, Spec

VERSION = 1


@dataclass
class Origin:
    before: Spec | None
    boot_id: str  # of the boot in which that was read
    written: list[Spec | None] = field(default_factory=list)


class Ledger:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.origins: dict[str, Origin] = _read(path)

    def remember(self, changes: Iterable[Change], boot_id: str, *, anew: Iterable[str] = ()) -> None:
        """Before `changes` are made. `anew`: subjects that somebody else wrote since, and whose version counts now."""
        for subject in anew:
            self.origins.pop(subject, None)
        for change in changes:
            origin = self.origins.setdefault(change.subject, Origin(change.before, boot_id))
            if change.after not in origin.written:
                origin.written.append(change.after)
        self.save()

    def settled(self, now: Mapping[str, Spec | None]) -> None:
        """After an apply ended: of all that we were to write only what stands is ours; what is as it was before is not."""
        for subject, live in now.items():
            origin = self.origins.get(subject)
            if origin is None:
                continue
            if live == origin.before:
                del self.origins[subject]
            elif live in origin.written:
                origin.written = [live]
        self.save()

    def forget(self, subjects: Iterable[str]) -> None:
        for subject in subjects:
            self.origins.pop(subject, None)
        self.save()

    def save(self) -> None:
        body = {"version": VERSION, "origins": {subject: asdict(origin) for subject, origin in self.origins.items()}}
        text = json.dumps(body, indent=1)
        make_folder(self.path.parent, mode=0o700)
        whole = f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n"
        write_atomic(self.path, whole, mode=0o600, temporary=f".{self.path.name}.new")


def _read(path: Path) -> dict[str, Origin]:
    try:
        data = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    digest, _, text = data.partition("\n")
    text = text.removesuffix("\n")
    if hashlib.sha256(text.encode()).hexdigest() != digest:
        raise DamageFound(
            f"{path} is damaged: its content does not have the checksum it begins with",
            hint=f"it holds what stood on this host before hftctl; restore it from a copy of {path.parent}",
        )
    body = json.loads(text)
    if body["version"] != VERSION:
        raise DamageFound(
            f"{path} has version {body['version']}, this hftctl reads {VERSION}", hint="use the hftctl that wrote it"
        )
    return {subject: Origin(**origin) for subject, origin in body["origins"].items()}
