"""A host as something that plans are applied to: each place by its subject, compared before it is written, read back after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hftctl.errors import Failed
from hftctl.plan.actuator import Answer, Readiness
from hftctl.plan.change import Change, Spec
from hftctl.tuning.host import Host
from hftctl.tuning.places.kind import Unchangeable
from hftctl.tuning.places.registry import place


class HostActuator:
    def __init__(self, host: Host, subjects: Sequence[str], ours: Callable[[str, Spec | None], bool]) -> None:
        """`ours`: whether we wrote, or were about to write, what is read from a place."""
        self._host = host
        self._subjects = tuple(dict.fromkeys(subjects))
        self._ours = ours
        self._asked: dict[str, Spec | None] = {}
        self.unchangeable: set[str] = set()  # what the kernel keeps to itself, found out by trying

    def read(self, subject: str) -> Spec | None:
        kind, where = place(subject)
        return kind.read(self._host, where)

    def observe(self) -> dict[str, Spec]:
        found = {subject: self.read(subject) for subject in self._subjects}
        return {subject: spec for subject, spec in found.items() if spec is not None}

    def apply(self, change: Change) -> None:
        """Raises Failed where it is neither as the plan saw it nor ours: somebody else is at it."""
        kind, where = place(change.subject)
        live = kind.read(self._host, where)
        self._asked[change.subject] = change.after
        if live == change.after:
            return
        if live != change.before and not self._ours(change.subject, live):
            raise Failed(f"{change.subject} was changed by somebody since it was looked at: it is {told(live)} now")
        try:
            kind.write(self._host, where, change.after, live)
        except Unchangeable:
            self.unchangeable.add(change.subject)

    def expect(self, states: Mapping[str, Spec | None]) -> None:
        """What places shall read as from now on, whether they have to be written for it or not."""
        self._asked.update(states)

    def readiness(self, subject: str) -> Readiness:
        if subject in self.unchangeable:
            return Readiness(Answer.READY, "the kernel keeps it to itself; left as it is")
        live, asked = self.read(subject), self._asked.get(subject)
        if subject not in self._asked or live == asked:
            return Readiness(Answer.READY, "reads as written")
        return Readiness(Answer.FAILED, f"{subject} was set to {told(asked)} and reads {told(live)}")

    def settle(self, subjects: Sequence[str]) -> None:
        """After a death: nothing half written is left beside, and what follows a write has been done."""
        for subject in subjects:
            kind, where = place(subject)
            kind.settle(self._host, where)


def told(spec: Spec | None) -> str:
    """In a sentence."""
    if spec is None:
        return "not there"
    if "folder" in spec:
        return "a folder"
    if "link" in spec:
        return f"a link to {spec['link']}"
    if "mode" in spec:
        return f"a file of {len(str(spec.get('text', spec.get('base64', ''))))} characters, mode {spec['mode']:04o}"
    return ", ".join(str(value) if len(spec) == 1 else f"{key} {value}" for key, value in spec.items())
