"""The first process of a space: everything there ends with it, and it collects what was left by its parents."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

WATCHED = {signal.SIGCHLD, signal.SIGTERM}


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    while signal.sigwait(WATCHED) == signal.SIGCHLD:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue


if __name__ == "__main__":
    main()
