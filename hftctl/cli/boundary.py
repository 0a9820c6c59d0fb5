"""The one place where errors become lines on stderr (or a JSON document) and an exit code."""

from __future__ import annotations

import errno
import itertools
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from hftctl import paths
from hftctl.cli import output
from hftctl.cli.light import ReaderLeft
from hftctl.errors import HftctlError, Interrupted, NotFound, NotReverted, UsageError

NO_RIGHTS = {errno.EACCES, errno.EPERM}
DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
LEFT = (ReaderLeft, BrokenPipeError)


def guarded(command: Callable[[], int], words: Sequence[str], *, debug: bool) -> int:
    try:
        code = command()
        output.flush()
        return code
    except (Exception, KeyboardInterrupt) as error:
        if debug and not isinstance(error, (*LEFT, typer.TyperException)):  # what was typed wrong comes from nowhere
            traceback.print_exc()
        return _answer(error, words)


def _answer(error: BaseException, words: Sequence[str]) -> int:
    if isinstance(error, LEFT):
        _let_go()
        return 0
    if isinstance(error, HftctlError):
        known = error
    elif isinstance(error, typer.TyperException):
        message = error.format_message()
        if message.startswith("Usage:"):  # a group without a command shows its help
            output.say(message)
            return UsageError.exit_code
        context = getattr(error, "ctx", None)
        known = UsageError(message.rstrip("."), hint=f"{context.command_path if context else 'hftctl'} --help")
    elif isinstance(error, KeyboardInterrupt | typer.Abort):
        known = Interrupted("interrupted", hint="see what stands: hftctl status")
    else:
        known = _surroundings(error, words) or _ours(error, words)
    try:
        output.error(known, as_json=wants_json(words) and not isinstance(known, output.Unwritten))
    except output.Unwritten:
        output.error(known, as_json=False)
        _let_go()
    if isinstance(known, output.Unwritten):
        _let_go()
    return known.exit_code


def _let_go() -> None:
    """What is left for stdout goes nowhere: the interpreter's own flush at exit must not fail a second time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def wants_json(words: Sequence[str]) -> bool:
    """Also when the rest of the line cannot be parsed."""
    pairs = itertools.pairwise([*words, ""])
    return any(
        word in {"-ojson", "--output=json"} or (word in {"-o", "--output"} and following == "json")
        for word, following in pairs
    )


def _surroundings(error: BaseException, words: Sequence[str]) -> HftctlError | None:
    """What is wrong with the machine and not with us."""
    if not isinstance(error, OSError):
        return None
    try:
        Path.cwd()
    except FileNotFoundError:
        return UsageError("the working directory does not exist any more", hint="cd to one that does")
    where = f" {error.filename}" if error.filename else ""
    if error.errno in NO_RIGHTS:
        return NotFound(
            f"cannot use{where}: {error.strerror}; what was begun stays as it is",
            hint="run as its owner, or set HFTCTL_HOME to a folder of yours",
        )
    if error.errno not in DISK_TROUBLE:
        return None
    return NotReverted(
        f"cannot write{where}: {error.strerror}; what was begun stays as it is",
        hint=f"mend the disk, then see how to go on: hftctl {'tune show' if 'tune' in words[:1] else 'status'}",
    )


def _ours(error: BaseException, words: Sequence[str]) -> HftctlError:
    trace = "".join(traceback.format_exception(error))
    what = f"{type(error).__name__}: {error}"
    try:
        where = f"the details stand in {_log(trace, words)}"
    except OSError as refused:
        where = f"the details could not be written ({refused}); run it again with --debug"
    return HftctlError(f"hftctl has a bug: {what}", hint=where)


def _log(trace: str, words: Sequence[str]) -> Path:
    folder = paths.make_folder(paths.home() / "errors", mode=0o700)
    file = folder / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}.log"
    # Secrets are never on a command line, so that the words may be kept.
    paths.write_atomic(file, f"hftctl {' '.join(words)}\n{sys.version}\n\n{trace}", mode=0o600)
    return file
