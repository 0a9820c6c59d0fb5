"""The write-ahead journal of rollouts: what is about to be changed is durable before it is changed.

One JSON object per line, each synced before `RolloutJournal` returns. Whoever holds the deployment's lock writes;
anybody reads. A last line torn by a crash was never acted upon: readers leave it out, the next writer cuts it off.
A rollout without an end was interrupted; the next one starts from what it left and inherits its baseline, so that a
revert, however many interrupted attempts came before, leads back to the last state that was whole.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hftctl.errors import DamageFound, Refused
from hftctl.plan.change import Change, Op, Spec
from hftctl.plan.journal_file import JournalFile, LocalFile

KEPT_BYTES = 1 << 20
RESULTS = ("ready", "reverted", "failed", "stopped")


@dataclass
class Rollout:
    """One rollout as its entries tell it."""

    id: str
    verb: str  # deploy, apply, start, scale, restart, rollback, abort, stop, destroy
    actor: str
    why: str
    started_ns: int
    from_revision: int  # 0: nothing stood before
    to_release: str  # hash; empty for stop and destroy
    changes: tuple[Change, ...]  # the pending ones, in the order they are applied
    baseline: Mapping[str, Spec | None]  # what a revert leads back to, for every subject any attempt was to change
    inherited: tuple[str, ...] = ()  # subjects an interrupted attempt before this one had touched
    intents: set[int] = field(default_factory=set)  # indices of changes that were, or may have been, applied
    outcomes: dict[int, str] = field(default_factory=dict)  # index -> "" when it became ready, else the failure
    reverting: str = ""  # the cause, once a revert began
    # once it is watched: for how long, and where it leads back to
    bake: Mapping[str, Any] = field(default_factory=dict)
    # Percentages at which the new gateways were found good, by attempts before this one too.
    canary: tuple[int, ...] = ()
    paused: str = ""  # why nobody can tell whether they are; it goes on, or back, when somebody says so
    again: str = ""  # the command that made it
    release: Mapping[str, Any] = field(default_factory=dict)  # document of what it leads to, so that anybody can go on
    restarts: tuple[str, ...] = ()  # subjects that are started anew whether they differ or not
    data: bool = False  # destroy: with journals, database and secrets
    interrupted: str = ""  # how it was stopped, when it could still say so
    result: str = ""  # ready | reverted | failed | stopped | interrupted; empty: open
    ended_ns: int = 0
    message: str = ""

    @property
    def open(self) -> bool:
        return not self.result

    def go_on(self, deployment: str) -> str:
        """What to type after it did not end well."""
        if self.verb in {"start", "stop", "destroy"}:
            return f"hftctl {self.verb} -p {deployment}{' --data' if self.data else ''}"
        if self.release:
            return f"hftctl rollout continue -p {deployment}"
        return self.again or "hftctl deploy PROFILE"

    @property
    def touched(self) -> tuple[str, ...]:
        """Subjects that may not be what the baseline says, in the order they were changed."""
        own = [self.changes[index].subject for index in sorted(self.intents)]
        return tuple(dict.fromkeys((*self.inherited, *own)))


class RolloutJournal:
    """Append-only; see the module's page. Methods that write take effect on the rollout that `begin` opened."""

    def __init__(self, path: Path, *, again: str = "hftctl deploy PROFILE", file: JournalFile | None = None) -> None:
        """`again`: the command that compares everything anew, for whoever finds the file damaged. `path` is where a person finds
        it, `file` where it is kept, if that is not on this machine."""
        self.path = path
        self._again = again
        self._file = file or LocalFile(path)
        # How long the file is after our own last entry: then nobody else wrote, and it needs no reading.
        self._whole_bytes = -1

    # reading

    def rollouts(self) -> list[Rollout]:
        """Those still kept, oldest first."""
        found: list[Rollout] = []
        for number, entry in enumerate(self._entries()[0], 1):
            try:
                if entry["entry"] == "begin":
                    if found and found[-1].open:
                        found[-1].result = "interrupted"  # and taken over by this one
                    found.append(_rollout(entry))
                elif found:
                    _advance(found[-1], entry)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise self._damaged(f"in line {number}", error) from error
        return found

    def entries(self) -> list[dict[str, Any]]:
        """Every step as it was written, oldest first; each has its time."""
        return self._entries()[0]

    def last(self) -> Rollout | None:
        return next(reversed(self.rollouts()), None)

    def interrupted(self) -> Rollout | None:
        """The last rollout, if it never came to an end."""
        last = self.last()
        return last if last is not None and last.open else None

    def unsettled(self) -> Rollout | None:
        """The last rollout, if what it touched may be neither as it was before nor as it should be."""
        last = self.last()
        return last if last is not None and (last.open or last.result == "failed") else None

    # writing, under the deployment's lock

    def begin(
        self,
        rollout: str,
        *,
        verb: str,
        actor: str,
        why: str,
        from_revision: int,
        to_release: str,
        changes: Iterable[Change],
        again: str = "",
        release: Mapping[str, Any] | None = None,
        restarts: Iterable[str] = (),
        data: bool = False,
        canary: Iterable[int] = (),
    ) -> Rollout:
        before = self.unsettled()
        changes = tuple(changes)
        baseline: dict[str, Spec | None] = {}
        # A subject may change several times: what stood before the first change is what a revert leads to.
        for change in changes:
            baseline.setdefault(change.subject, change.before)
        inherited: tuple[str, ...] = ()
        if before is not None:
            inherited = before.touched
            baseline |= {subject: before.baseline[subject] for subject in inherited}
        entry = {
            "entry": "begin",
            "rollout": rollout,
            "verb": verb,
            "time_ns": time.time_ns(),
            "actor": actor,
            "why": why,
            "from_revision": from_revision,
            "to_release": to_release,
            "again": again,
            "release": release or {},
            "restarts": list(restarts),
            "data": data,
            "canary": list(canary),
            "changes": [asdict(change) for change in changes],
            "baseline": baseline,
            "inherited": inherited,
        }
        try:
            self._append(entry)
        except OSError as error:
            raise Refused(
                f"cannot {verb}: {self.path} cannot be written ({error.strerror}), so nothing was changed",
                hint="make room on that disk, or mend its rights; hftctl halt needs neither",
            ) from error
        return _rollout(entry)

    def intent(self, change: int) -> None:
        """Before a change: it may be there after this, whatever happens."""
        self._append({"entry": "intent", "change": change})

    def outcome(self, change: int, failure: str = "") -> None:
        self._append({"entry": "outcome", "change": change, "failure": failure})

    def reverting(self, cause: str) -> None:
        self._append({"entry": "reverting", "cause": cause})

    def baking(self, bake: Mapping[str, Any]) -> None:
        """Before its release is recorded: from here on only a bake that ended says that the release stays."""
        self._append({"entry": "baking", "bake": bake})

    def canary(self, percent: int, message: str) -> None:
        """The new gateways did well at this step, which needs no second look."""
        self._append({"entry": "canary", "percent": percent, "message": message})

    def paused(self, why: str) -> None:
        """Nobody can tell; the rollout stays open, with the requests divided as they are."""
        self._append({"entry": "paused", "why": why})

    def interruption(self, how: str) -> None:
        """A note that somebody stopped the rollout; it stays open."""
        self._append({"entry": "interrupted", "how": how})

    def end(self, result: str, message: str = "") -> None:
        assert result in RESULTS, result  # noqa: S101
        self._append({"entry": "end", "result": result, "time_ns": time.time_ns(), "message": message})
        if self._file.size() > KEPT_BYTES:
            self._compact()

    # the file

    def _entries(self) -> tuple[list[dict[str, Any]], int]:
        """All whole entries, and how many bytes they take."""
        data = self._file.read()
        entries: list[dict[str, Any]] = []
        good = 0
        while (end := data.find(b"\n", good)) >= 0:
            try:
                entry = json.loads(data[good:end])
            except ValueError as error:
                if end + 1 == len(data):
                    break  # a torn block at the end of the file may hold the newline of what was not all written
                raise self._damaged(f"at byte {good}", error) from error
            if not isinstance(entry, dict) or "entry" not in entry:
                raise self._damaged(f"at byte {good}", "it is no entry")
            entries.append(entry)
            good = end + 1
        return entries, good

    def _damaged(self, where: str, error: object) -> DamageFound:
        aside = shlex.join(["mv", str(self.path), f"{self.path}.damaged"])
        return DamageFound(
            f"{self.path} is damaged {where}: {error}",
            hint=f"put it aside: {aside}; all is compared anew by: {self._again}",
        )

    def _append(self, entry: Mapping[str, Any]) -> None:
        known = self._file.size() == self._whole_bytes
        good = self._whole_bytes if known else self._entries()[1]
        line = json.dumps({**entry, "time_ns": entry.get("time_ns", time.time_ns())}, separators=(",", ":")).encode()
        self._file.append(line + b"\n", good)
        self._whole_bytes = good + len(line) + 1

    def _compact(self) -> None:
        """Keep the newest whole rollouts that fit into half the limit; the last one always stays."""
        groups: list[list[bytes]] = []
        for entry in self._entries()[0]:
            if entry["entry"] == "begin":
                groups.append([])
            groups[-1].append(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        kept: list[bytes] = []
        for group in reversed(groups):
            block = b"".join(group)
            if kept and sum(map(len, kept)) + len(block) > KEPT_BYTES // 2:
                break
            kept.insert(0, block)
        self._file.replace(b"".join(kept))
        self._whole_bytes = -1


def _rollout(entry: Mapping[str, Any]) -> Rollout:
    rollout = Rollout(
        id=entry["rollout"],
        verb=entry["verb"],
        actor=entry["actor"],
        why=entry["why"],
        started_ns=entry["time_ns"],
        from_revision=entry["from_revision"],
        to_release=entry["to_release"],
        changes=tuple(
            Change(change["subject"], Op(change["op"]), change["before"], change["after"], change["cause"])
            for change in entry["changes"]
        ),
        baseline=entry["baseline"],
        inherited=tuple(entry["inherited"]),
        again=entry.get("again", ""),
        release=entry.get("release", {}),
        restarts=tuple(entry.get("restarts", ())),
        data=entry.get("data", False),
        canary=tuple(entry.get("canary", ())),
    )
    if not {change.subject for change in rollout.changes}.union(rollout.inherited) <= rollout.baseline.keys():
        raise ValueError("it changes what it has no baseline for")
    return rollout


def _advance(rollout: Rollout, entry: Mapping[str, Any]) -> None:
    match entry["entry"]:
        case "intent":
            rollout.intents.add(range(len(rollout.changes))[entry["change"]])
        case "outcome":
            rollout.outcomes[entry["change"]] = entry["failure"]
        case "reverting":
            rollout.reverting = entry["cause"]
        case "baking":
            rollout.bake = entry["bake"]
        case "canary":
            rollout.canary = (*rollout.canary, entry["percent"])
        case "paused":
            rollout.paused = entry["why"]
        case "interrupted":
            rollout.interrupted = entry["how"]
        case "end":
            rollout.result, rollout.ended_ns, rollout.message = entry["result"], entry["time_ns"], entry["message"]
