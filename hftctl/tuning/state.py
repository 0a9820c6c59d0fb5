"""What hftctl keeps of a host's tuning: the ledger, the journal, what is applied. On the host itself, one place per host.

Not in the state home, which several users and deployments have: a second one would take our values for what stood before.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hftctl.errors import DamageFound, NotFound
from hftctl.paths import make_folder, sync_folder, write_atomic
from hftctl.plan.change import Spec
from hftctl.plan.journal import RolloutJournal
from hftctl.tuning.host import Host
from hftctl.tuning.ledger import Ledger
from hftctl.tuning.places.registry import place

FOLDER = "/var/lib/hftctl-tune"


@dataclass(frozen=True)
class Standing:
    """One setting of what is applied."""

    subject: str
    wanted: Spec | None
    why: str
    needs_reboot: bool


@dataclass(frozen=True)
class Applied:
    """What the last apply that went through made of this host."""

    profile: str
    isolate: str  # as it was asked for; empty: computed
    only: tuple[str, ...]
    forced: tuple[str, ...]  # codes of refusals: a start of the machine asks nobody again
    layout: str  # for people
    arguments: tuple[str, ...]  # of the kernel's command line
    settings: tuple[Standing, ...]
    unchangeable: tuple[str, ...]  # subjects that the kernel keeps to itself
    boot_id: str
    actor: str
    time_ns: int
    bind: tuple[str, ...] = ()  # PCI addresses of cards that a program drives itself


class HostState:
    """Raises NotFound where it may not be read, DamageFound where it cannot be."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.folder = host.at(FOLDER)
        self.journal = RolloutJournal(self.folder / "journal", again="hftctl tune apply")
        self.lock = self.folder / "lock"
        try:
            self.ledger = Ledger(self.folder / "ledger")
            self.applied = _applied(self.folder / "applied.json")
        except PermissionError as error:
            raise NotFound(f"cannot read {error.filename}: it is root's", hint="run it as root, with sudo") from error

    def ours(self, subject: str, live: Spec | None) -> bool:
        """Whether we wrote what is read there, or were about to."""
        origin = self.ledger.origins.get(subject)
        return origin is not None and place(subject)[0].ours(live, origin.before, origin.written)

    def base(self, subject: str) -> Spec | None:
        """How a place was before we came, with what others did since."""
        kind, where = place(subject)
        live = kind.read(self.host, where)
        return self.ledger.origins[subject].before if self.ours(subject, live) else live

    def record(self, applied: Applied) -> None:
        make_folder(self.folder, mode=0o700)
        write_atomic(
            self.folder / "applied.json", json.dumps(asdict(applied), indent=1), mode=0o600, temporary=".applied.new"
        )
        self.applied = applied

    def forget_applied(self) -> None:
        (self.folder / "applied.json").unlink(missing_ok=True)
        sync_folder(self.folder)
        self.applied = None


def _applied(path: Path) -> Applied | None:
    try:
        read: Mapping[str, Any] = json.loads(path.read_bytes())
        lists = {name: tuple(read[name]) for name in ("only", "forced", "arguments", "unchangeable")}
        lists["bind"] = tuple(read.get("bind", ()))  # what an older hftctl applied has none
        return Applied(**{**read, **lists, "settings": tuple(Standing(**one) for one in read["settings"])})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        aside = shlex.join(["mv", str(path), f"{path}.damaged"])
        raise DamageFound(
            f"{path} is damaged: {error}", hint=f"{aside}; then it is written anew by: hftctl tune apply"
        ) from error
