"""The one place that runs programs to their end: argument lists, never a shell, always with a time limit."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hftctl.errors import Failed, NotFound

SHOWN_LINES = 12


@dataclass(frozen=True)
class Completed:
    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    duration_s: float

    @property
    def ok(self) -> bool:
        return self.returncode == 0


def redacted(text: str, secrets: Sequence[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):  # the longest first: one may hold another
        text = text.replace(secret, "***")
    return text


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    check: bool = True,
    redact: Sequence[str] = (),
    echo: Callable[[str], None] | None = None,
) -> Completed:
    """Run a program and return what it said. A non-zero exit raises Failed unless `check` is off.

    Secrets go through `env` or `stdin`, never through `argv`, which every user of the machine can read; `redact` keeps
    them out of the echo and of errors. `env` is added to ours. The program gets a group of its own, which is ended as a
    whole when the time is up or we are interrupted.
    """
    words = tuple(os.fspath(word) for word in argv)
    line = redacted(shlex.join(words), redact)
    if echo is not None:
        echo(line)
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise NotFound(f"cannot run {words[0]}: {error.strerror} ({error.filename})") from error
    except OSError as error:
        raise Failed(f"cannot run {line}: {error.strerror}") from error
    with process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            _end_group(process)
            raise Failed(f"{line}: no end after {timeout_s:g} s, so it was killed") from error
        except BaseException:
            _end_group(process)
            raise
    done = Completed(words, process.returncode, stdout, stderr, time.monotonic() - started)
    if check and not done.ok:
        said = (stderr.strip() or stdout.strip() or "it said nothing").splitlines()[-SHOWN_LINES:]
        code = f"signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
        raise Failed(f"{line}: {code}: " + redacted("\n".join(said), redact))
    return done


def _end_group(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended by itself meanwhile
    process.wait()
