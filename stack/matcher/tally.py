"""What a partition counts while it works: plain numbers, so that counting costs next to nothing."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from stack.matcher.event_log import Summary

_SAMPLES_MAX = 100_000  # when nobody collects them


class GroupSample(NamedTuple):
    commands: int
    sync_s: float
    decision_ns: int  # the longest in the group; 0 when it was not measured


class SessionTally:
    """Of the binary door."""

    def __init__(self) -> None:
        self.open = 0  # connections, those that have not said HELLO included
        self.opened = 0  # that were let in
        self.refused: Counter[str] = Counter()  # ended by an ERROR frame, by its code
        self.cut = 0  # without a word, because the client did not read or finish a frame
        self.batches = 0
        self.commands = 0

    def as_json(self) -> dict[str, int | dict[str, int]]:
        return {**vars(self), "refused": dict(sorted(self.refused.items()))}


class Tally:
    def __init__(self) -> None:
        self.commands = 0
        self.events = 0
        self.fills = 0
        self.groups = 0
        self.repeats = 0
        self.busy = 0
        self.torn_tails = 0  # 1 when this start cut one off
        self.refusals: Counter[int] = Counter()  # by reason
        self.sessions = SessionTally()
        self.sync_s = 0.0  # of the last commit
        self._samples: list[GroupSample] = []

    def group(self, commands: int, summary: Summary, decision_ns: int, sync_s: float) -> None:
        """One group became durable."""
        self.commands += commands
        self.events += summary.events
        self.fills += summary.fills
        self.groups += 1
        self.sync_s = sync_s
        if summary.refusals:
            self.refusals.update(summary.refusals)
        if len(self._samples) < _SAMPLES_MAX:
            self._samples.append(GroupSample(commands, sync_s, decision_ns))

    def take_samples(self) -> list[GroupSample]:
        samples, self._samples = self._samples, []
        return samples
