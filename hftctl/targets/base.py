"""What every target promises. One contract test runs over all of them and over the fake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

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


@dataclass(frozen=True)
class Drift:
    """One thing that is not as it was deployed, though nobody deployed it."""

    subject: str
    what: str  # file, setting, schema, process, program, rights, door, gone, ...
    message: str
    repair: str  # the command that leads back
    diff: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """Something that happened to the deployment."""

    time_ns: int
    event: str  # started, died, health, exec, halt, ...
    component: str  # empty: all of the deployment
    message: str
    actor: str  # user@host, or who of ours
    fields: Mapping[str, Any] = field(default_factory=dict)


Past = Callable[[Iterator[LogLine]], Iterator[LogLine]]


def whole(lines: Iterator[LogLine]) -> Iterator[LogLine]:
    return lines


class EventSource(Protocol):
    def new(self) -> Iterator[Event]:
        """Those since the last call; all that are kept at first. In no order between components."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Surroundings:
    """Where a command beside a component runs."""

    folder: Path
    env: Mapping[str, str]  # all of it; secrets among them
    before: tuple[str, ...] = ()  # words in front of the command, where it runs elsewhere


class Target(Actuator, Protocol):
    """One deployment on one target.

    A subject is a component (`gateway-1`, `postgres-0`) or what a component needs before it starts (`schema-0`). Its
    spec is all that `apply` needs beside what `begin` wrote: a revert applies specs that were observed, maybe by
    another process on another day. Specs go to the journal and to plan files, so they hold no secret, only digests of them.
    """

    name: str  # local, compose, kubernetes
    deployment: str

    def preflight(self, release: Release) -> Sequence[Finding]:
        """What would stop this release before anything is written: ports in use with their owner, disk, rights."""

    def desired(self, release: Release) -> State:
        """What the release wants here. Reads nothing of what stands; of the machine at most how many processors it has."""

    def rendered(self, release: Release) -> Mapping[str, str]:
        """The files that a release becomes here, by their names in a folder. Without secrets; reads nothing of what stands."""

    def canary(self, release: Release, before: Release, percent: int) -> State:
        """What stands beside the gateways while `percent` of the requests go to those of `release`: canaries, as many fresh ones
        of `before`, and the door, `nginx`, that divides requests. Empty where the target cannot."""

    def begin(self, release: Release) -> None:
        """Write what all changes share (configuration, secrets that are missing), before the first change.

        Called again with the release that stood before, when a rollout is reverted.
        """

    def status(self) -> Sequence[ComponentStatus]: ...

    def logs(
        self, components: Sequence[str], *, since_s: float | None, follow: bool, past: Past = whole
    ) -> Iterator[LogLine]:
        """Oldest first; `past` chooses among the lines that are there already, `follow` goes on with those that come."""

    def drift(self, release: Release) -> Iterator[Drift]:
        """What differs from the release that was recorded last, inside components too. Reads only."""

    def events(self) -> EventSource:
        """What is recorded besides the journal of rollouts."""

    def note(self, event: str, component: str, message: str, actor: str) -> None:
        """Record what a person did that is no rollout. Raises OSError where that cannot be written."""

    def surroundings(self, component: str) -> Surroundings:
        """For a command that a person runs beside a component. Raises NotFound."""

    def connection(self, component: str) -> Sequence[str]:
        """A command whose standard input and output are a connection to the component's port. Raises NotFound."""

    def secrets(self) -> Sequence[str]:
        """Their values, so that they can be kept out of what is shown."""

    def pause_ms(self, subject: str) -> float | None:
        """Of a subject that has just become ready: how long it was away; None when it was taken over from start-first."""

    def endpoint(self) -> str:
        """Base URL of the public door. Raises NotFound where no configuration was ever written."""

    def operator_key(self) -> str | None:
        """An API key of the role operator; None where authentication is off."""

    def postgres(self, partition: int) -> Mapping[str, Any]:
        """Keyword arguments for `psycopg.connect` to the shard that holds a partition's rows. Raises NotFound."""

    def ask_engine(self, partition: int, message: Mapping[str, Any], *, timeout_s: float) -> Mapping[str, Any]:
        """One JSON object to the engine's admin door, its answer back. Raises NotFound when nobody answers there.

        Takes no lock and needs nothing but the engine: `halt` goes this way.
        """

    def lock(self, why: str, *, wait_s: float, shared: bool = False) -> AbstractContextManager[None]:
        """Raises LockHeld naming the holder. Dies with its holder."""

    def holder(self) -> str:
        """Who holds the lock now, since when and why; empty when nobody does."""

    def journal(self) -> RolloutJournal: ...

    def revisions(self) -> Sequence[Revision]:
        """Oldest first."""

    def record(self, revision: Revision) -> None: ...

    def stop(self) -> None:
        """Stop all components, gateways and nginx first, data last; keep everything on disk."""

    def remove(self, *, data: bool) -> None:
        """After `stop`: take away what a deploy wrote; the engines' journals, database and secrets only when `data`.

        The rollout journal goes last of what is removed under the lock, and the lock's file after it: a deployment stands
        as long as its journal is there, so a killed removal is found again, and nobody else's journal can be removed.
        """
