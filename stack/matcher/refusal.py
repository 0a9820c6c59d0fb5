"""Why an engine does not start. The exit codes are those of hftctl with the same meaning."""

from __future__ import annotations

EXIT_FAILED = 1  # the journal failed while running
EXIT_REFUSED = 2  # settings
EXIT_LOCKED = 6
EXIT_DAMAGED = 10


class StartRefused(Exception):
    """One line for the operator; nothing was changed."""

    def __init__(self, message: str, *, exit_code: int = EXIT_REFUSED) -> None:
        super().__init__(message)
        self.exit_code = exit_code
