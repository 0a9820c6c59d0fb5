"""A process that sends orders: its talk goes on to stderr as it comes, and it ends when we end."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from hftctl import paths
from hftctl.cli import output
from hftctl.errors import BelowTarget, DamageFound, Interrupted

END_S = 15.0
WITH_REPORT = (0, BelowTarget.exit_code, DamageFound.exit_code, Interrupted.exit_code)


def ended(argv: Sequence[str], pass_fds: Sequence[int]) -> tuple[str, str, int]:
    """All of stdout, the last line of stderr (kept back, for it is the error of a process that failed), the exit code."""
    folder = paths.package_folder("stack").parent
    with subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        pass_fds=pass_fds,
        preexec_fn=_end_with_us if sys.platform == "linux" else None,  # noqa: PLW1509 - no thread runs yet
    ) as process:
        held: list[str] = []
        talk = threading.Thread(target=_forward, args=(process.stderr, held), daemon=True)
        talk.start()
        try:
            said = process.stdout.read() if process.stdout else ""
        except KeyboardInterrupt:
            # The terminal told the process too: it cancels what it left and reports. A second Ctrl-C leaves at once.
            patience = threading.Timer(END_S, process.kill)
            patience.start()
            said = process.stdout.read() if process.stdout else ""
            patience.cancel()
        except BaseException:
            process.kill()
            raise
        process.wait()
        talk.join()
    if process.returncode in WITH_REPORT and held:
        output.say(held.pop())
    return said, held[-1] if held else "", process.returncode


def _end_with_us() -> None:
    """Whatever ends us, the orders end too: PR_SET_PDEATHSIG."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _forward(stream: IO[str] | None, held: list[str]) -> None:
    for line in stream or ():
        if held:
            output.say(held.pop())
        held.append(line.rstrip("\n"))
