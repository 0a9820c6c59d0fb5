"""The one way to apply a plan to an actuator, and to take it back. The one loop that waits is here too.

Journal before apply: at every point the journal names each subject that may differ from the state before, so whoever
comes after a crash knows what to converge. A change is made only after its intent is durable.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from hftctl.errors import HftctlError
from hftctl.plan.actuator import Actuator, Answer, Readiness
from hftctl.plan.change import Change, Op, Spec
from hftctl.plan.diff import change as change_between
from hftctl.plan.interrupts import Interrupts
from hftctl.plan.journal import Rollout, RolloutJournal

POLL_S = (0.01, 0.02, 0.05, 0.1)  # then 0.1: a part that starts in 50 ms is not waited for in seconds

SAID_LINES = 3  # of a part that does not get ready, in the sentence that says so


@dataclass(frozen=True)
class Progress:
    """One state change of one subject."""

    subject: str
    state: str  # applying | waiting | ready | failed | reverting | reverted
    message: str
    elapsed_s: float
    figures: bool = False  # no change, only other figures in the message: drawn where something is drawn, said nowhere


@dataclass(frozen=True)
class Failure:
    """The true cause first; then what was seen at that moment, before anything was taken back."""

    subject: str
    cause: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    timeout_s: float = 120.0  # for all waiting together; a revert has as much again
    no_activity_s: float = 60.0  # one subject saying the same thing for so long has failed


class Stopped(Exception):
    """A signal asked to stop; everything begun is in the journal."""

    def __init__(self, signal: str) -> None:
        super().__init__(signal)
        self.signal = signal


class Execution:
    """Applies one rollout that the journal has begun."""

    def __init__(
        self,
        actuator: Actuator,
        journal: RolloutJournal,
        rollout: Rollout,
        *,
        limits: Limits,
        progress: Callable[[Progress], None],
        evidence: Callable[[str], Sequence[str]],
        interrupts: Interrupts,
        pause_ms: Callable[[str], float | None] = lambda _subject: None,
        watch: Callable[[int], Failure | None] = lambda _index: None,
    ) -> None:
        self._actuator = actuator
        self._journal = journal
        self._rollout = rollout
        self._limits = limits
        self._progress = progress
        self._evidence = evidence
        self._interrupts = interrupts
        self._pause_ms = pause_ms
        self._watch = watch  # after a change, by its index: whether to go on
        self.pauses: dict[str, float] = {}  # subject -> milliseconds from the order to end until the next one worked
        self._excused: Collection[str] = ()
        self._reverting = False
        self._known_ready: set[str] = set()
        self._started = time.monotonic()
        self._deadline = self._started + limits.timeout_s

    def apply(self, *, wait_for_last: bool = True) -> Failure | None:
        """Make every change and wait for it, in order; stop at the first failure. Raises Stopped at a safe point."""
        changes = self._rollout.changes
        for index, change in enumerate(changes):
            self._stop_if_asked()
            self._journal.intent(index)
            self._rollout.intents.add(index)
            self._say(change.subject, "applying", f"{change.op} ({change.cause})")
            failure = self._apply_one(change)
            if failure is None and change.op is not Op.DELETE and (wait_for_last or index + 1 < len(changes)):
                failure = self.wait(change.subject)
                if failure is None and change.op is not Op.CREATE:
                    self._note_pause(change.subject)
            self._journal.outcome(index, failure.cause if failure else "")
            if failure is None and (failure := self._watch(index)) is not None:
                failure = Failure(failure.subject, failure.cause, tuple(self._evidence(failure.subject)))
            if failure is not None:
                return failure
        return None

    def excuse_without(self, needs: Iterable[str], dependents: Collection[str]) -> bool:
        """Whether one of `needs`, which this rollout does not touch, stays away: then `dependents` are not waited for.

        One that is only starting up gets the time it takes. The time for everything else begins afterwards.
        """
        missing = [subject for subject in needs if self.wait(subject) is not None]
        self._deadline = time.monotonic() + self._limits.timeout_s
        if missing:
            self._excused = dependents
        return bool(missing)

    def settle(self, subjects: Iterable[str]) -> Failure | None:
        """Wait for subjects that were kept, and once more for the others; only what is not ready yet is told."""
        for subject in subjects:
            self._known_ready.add(subject)
            if (failure := self.wait(subject)) is not None:
                return failure
        return None

    def wait(self, subject: str) -> Failure | None:
        """Until the subject is ready, has failed for good, says nothing new for too long, or the time is up."""
        if subject in self._excused:
            return None
        heard: Readiness | None = None
        heard_at = time.monotonic()
        polls = progress = 0
        while True:
            try:
                now = self._actuator.readiness(subject)
            except HftctlError as error:
                now = Readiness(Answer.FAILED, error.message)
            at = time.monotonic()
            ready = now.answer is Answer.READY
            if now.progress > progress:
                progress = now.progress
                self._deadline = max(self._deadline, at + self._limits.no_activity_s)
            if now != heard:
                heard, heard_at = now, at
                told_below = now.answer is Answer.FAILED
                if not (told_below or (ready and subject in self._known_ready)):
                    self._say(subject, now.answer.value, now.message)
            if ready:
                self._known_ready.add(subject)
                return None
            self._known_ready.discard(subject)
            if now.answer is Answer.FAILED:
                return self._failure(subject, now.message)
            if at - heard_at >= self._limits.no_activity_s:
                return self._given_up(subject, f"{now.message} (nothing new for {at - heard_at:.0f} s)")
            if at >= self._deadline:
                return self._given_up(subject, f"not ready after {self._limits.timeout_s:g} s: {now.message}")
            self._stop_if_asked()
            time.sleep(POLL_S[min(polls, len(POLL_S) - 1)])
            polls += 1

    def revert(self, failure: Failure) -> tuple[str, ...]:
        """Lead everything touched back to the baseline, the last first; what could not be is returned in sentences.

        A signal is noted and the revert goes on: half a revert helps nobody. A second one leaves.
        """
        self._journal.reverting(failure.cause)
        self._deadline = time.monotonic() + self._limits.timeout_s
        self._reverting, self._interrupts.received = True, ""
        baseline, touched = self._rollout.baseline, self._rollout.touched
        left: list[str] = []
        self._known_ready.clear()
        for subject in reversed(touched):
            self._say(subject, "reverting", _back_to(baseline[subject]))
            try:
                back = change_between(subject, self._actuator.observe().get(subject), baseline[subject])
                if back.op is not Op.KEEP:
                    self._actuator.apply(back)
            except (HftctlError, OSError) as error:
                left.append(f"{subject} could not be taken back: {_sentence(error)}")
                self._say(subject, "failed", left[-1])
        left += self._not_ready(subject for subject in touched if baseline[subject] is not None)
        return tuple(left)

    def _note_pause(self, subject: str) -> None:
        if (pause_ms := self._pause_ms(subject)) is not None:
            self.pauses[subject] = round(pause_ms, 1)
            self._say(subject, "ready", f"{subject} paused for {pause_ms:.0f} ms")

    def _not_ready(self, subjects: Iterable[str]) -> list[str]:
        found: list[str] = []
        for subject in subjects:
            failure = self.wait(subject)
            if failure is None:
                self._say(subject, "reverted", "as it was before")
            else:
                found.append(f"{subject} was taken back and is not ready: {failure.cause}")
        return found

    def _apply_one(self, change: Change) -> Failure | None:
        try:
            self._actuator.apply(change)
        except (HftctlError, OSError) as error:
            return self._failure(change.subject, _sentence(error))
        return None

    def _given_up(self, subject: str, cause: str) -> Failure:
        """It lives and does not get ready: what keeps it is known to itself alone, so its last words are the cause."""
        evidence = tuple(self._evidence(subject))
        lines = [line.removeprefix(f"{subject}: ") for line in evidence]
        # One that goes on serving beside it speaks too: what is in order is not the cause.
        troubles = [line for line in lines if not line.startswith(("info ", "debug "))]
        said = " | ".join((troubles or lines)[-SAID_LINES:])
        return self._failure(subject, f"{cause}{f'; it said: {said}' if said else ''}", evidence)

    def _failure(self, subject: str, cause: str, evidence: tuple[str, ...] | None = None) -> Failure:
        self._say(subject, "failed", cause)
        named = cause if cause.startswith(subject) else f"{subject}: {cause}"
        return Failure(subject, named, tuple(self._evidence(subject)) if evidence is None else evidence)

    def _stop_if_asked(self) -> None:
        if self._interrupts.received and not self._reverting:
            raise Stopped(self._interrupts.received)

    def _say(self, subject: str, state: str, message: str) -> None:
        self._progress(Progress(subject, state, message, time.monotonic() - self._started))


def _sentence(error: Exception) -> str:
    return error.message if isinstance(error, HftctlError) else str(error)


def _back_to(spec: Spec | None) -> str:
    return "remove: it was not there before" if spec is None else "back to what stood before"
