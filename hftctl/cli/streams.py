"""What must hold before a command line is read: three open streams, and words that are text."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from hftctl.errors import UsageError


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
