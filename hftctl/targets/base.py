"""What every target promises. One contract test runs over all of them and over the fake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from hftctl.plan.actuator import Actuator
from hftctl.plan.change import State
from hftctl.plan.journal import RolloutJournal
from hftctl.release import Release, Revision


@dataclass(frozen=True)
class Finding:
    """One thing `doctor` or a preflight found."""

    level: str  # ok | warning | problem
    subject: str
    message: str
    fix: str = ""


@dataclass(frozen=True)
class ComponentStatus:
    component: str  # gateway-2
    state: str  # running | stopped | restarting | failed | missing
    ready: bool
    message: str
    pid: int | None = None
    started_ns: int | None = None
    restarts: int = 0
    memory_bytes: int | None = None
    cpu_s: float | None = None


@dataclass(frozen=True)
class LogLine:
    component: str
    time_ns: int
    text: str


class Target(Actuator, Protocol):
    """One deployment on one target."""

    name: str  # local, compose, kubernetes
    deployment: str

    def preflight(self, release: Release) -> Sequence[Finding]:
        """What would stop this release before anything is written: ports in use with their owner, disk, rights."""

    def desired(self, release: Release) -> State:
        """What the release wants here. Pure: reads nothing of the target."""

    def begin(self, release: Release) -> None:
        """Write what all changes share (configuration, secrets that are missing), before the first change."""

    def status(self) -> Sequence[ComponentStatus]: ...

    def logs(self, components: Sequence[str], *, since_s: float | None, follow: bool) -> Iterator[LogLine]: ...

    def endpoint(self) -> str:
        """Base URL of the public door."""

    def lock(self, why: str, *, wait_s: float, shared: bool = False) -> AbstractContextManager[None]:
        """Raises LockHeld naming the holder. Dies with its holder."""

    def journal(self) -> RolloutJournal: ...

    def revisions(self) -> Sequence[Revision]:
        """Oldest first."""

    def record(self, revision: Revision) -> None: ...

    def stop(self) -> None:
        """Stop all components, gateways and nginx first, data last; keep everything on disk."""

    def remove(self, *, data: bool) -> None:
        """After `stop`: take away what a deploy wrote; journal, database and secrets only when `data`."""
