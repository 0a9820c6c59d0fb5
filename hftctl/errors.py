"""Everything hftctl fails with on purpose. One class, one exit code; `docs/exit-codes.md` is generated from here.

    HftctlError
    |-- Failed                1  failed and reverted
    |-- UsageError            2  usage, bad profile, confirmation needed
    |   |-- ProfileError         with file, line and key
    |   `-- ConfirmationNeeded
    |-- ChangesPending        3  plan, diff, drift
    |-- NotReverted           4  failed and not reverted
    |-- PlanStale             5
    |-- LockHeld              6
    |-- Refused               7  before the first write
    |-- Inconclusive          8
    |-- Degraded              9
    |-- DamageFound          10
    |-- BelowTarget          11
    |-- TimedOut             12  still going on its own
    |-- NotFound             13  not found, unreachable, no rights
    `-- Interrupted         130

A message says what we tried and why not, with the values; the hint is the next command to type.
"""

from __future__ import annotations

from typing import ClassVar


class HftctlError(Exception):
    exit_code: ClassVar[int] = 70
    code: ClassVar[str] = "internal"
    meaning: ClassVar[str] = "our own bug; the message names the log file"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Failed(HftctlError):
    exit_code = 1
    code = "failed"
    meaning = "failed and reverted; nothing is half done"


class UsageError(HftctlError):
    exit_code = 2
    code = "usage"
    meaning = "wrong usage, a bad profile, or a confirmation is needed"


class ProfileError(UsageError):
    """A profile, or a layer under it, that cannot be used."""

    code = "profile"

    def __init__(self, message: str, *, file: str, line: int = 0, key: str = "", hint: str = "") -> None:
        where = f"{file}:{line}: " if line else f"{file}: "
        super().__init__(f"{where}{f'{key}: ' if key else ''}{message}", hint=hint)
        self.file, self.line, self.key = file, line, key


class ConfirmationNeeded(UsageError):
    code = "confirmation-needed"


class ChangesPending(HftctlError):
    exit_code = 3
    code = "changes-pending"
    meaning = "changes are pending (plan, diff, drift)"


class NotReverted(HftctlError):
    exit_code = 4
    code = "not-reverted"
    meaning = "failed and not reverted; the message says what stands"


class PlanStale(HftctlError):
    exit_code = 5
    code = "plan-stale"
    meaning = "the plan is stale: what it was computed from has changed since"


class LockHeld(HftctlError):
    exit_code = 6
    code = "lock-held"
    meaning = "somebody else holds the lock"


class Refused(HftctlError):
    exit_code = 7
    code = "refused"
    meaning = "refused before the first write"


class Inconclusive(HftctlError):
    exit_code = 8
    code = "inconclusive"
    meaning = "inconclusive: the outcome could not be proved either way"


class Degraded(HftctlError):
    exit_code = 9
    code = "degraded"
    meaning = "degraded: something wanted is not there (status), or a finding (doctor)"


class DamageFound(HftctlError):
    exit_code = 10
    code = "damage-found"
    meaning = "damage found in recorded data"


class BelowTarget(HftctlError):
    exit_code = 11
    code = "below-target"
    meaning = "below the target (load, bench compare)"


class TimedOut(HftctlError):
    exit_code = 12
    code = "timed-out"
    meaning = "timed out; it goes on by itself"


class NotFound(HftctlError):
    exit_code = 13
    code = "not-found"
    meaning = "not found, target unreachable, or no rights"


class Interrupted(HftctlError):
    exit_code = 130
    code = "interrupted"
    meaning = "interrupted; the message says how to go on"
