"""The one place where errors become lines on stderr (or a JSON document) and an exit code."""

from __future__ import annotations

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
from hftctl.errors import HftctlError, Interrupted, UsageError

LEFT = (ReaderLeft, BrokenPipeError)


def open_streams() -> None:
    """A service manager or `>&-` may have closed what Python then leaves out; the next file opened would take its place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def check_words(words: Sequence[str]) -> None:
    """What is typed goes into journals, documents and requests, all of them UTF-8."""
    for place, word in enumerate(words, start=1):
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"word {place} of the command line is not UTF-8: {os.fsencode(word)!r}", hint="type it in UTF-8"
            ) from None


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
        known = _ours(error, words)
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
