"""How this program was called, so that a command it proposes can be typed as it stands: `make deploy` leaves hftctl in
`.venv/bin`, which is on nobody's PATH."""

from __future__ import annotations

import functools
import re
import shlex
import shutil
import sys
from pathlib import Path

import typer

NAME = "hftctl"


def typed(text: str) -> str:
    """The text with the commands in it as they can be typed here. For people; documents name `hftctl` wherever they are read."""
    return text if NAME not in text or program() == NAME else _commands().sub(lambda _: program(), text)


@functools.cache
def _commands() -> re.Pattern[str]:
    from hftctl.cli.main import app  # which imports all that use this

    names = getattr(typer.main.get_command(app), "commands", {})
    return re.compile(rf"(?<![\w./-]){NAME}(?= (?:{'|'.join(names)})\b)")


@functools.cache
def program() -> str:
    """`hftctl` where that is on the PATH and this very program, or nobody knows better; else what it was called by."""
    called, found = Path(sys.argv[0]), shutil.which(NAME)
    if (called.parent.name, called.name) == (NAME, "__main__.py"):
        installed = Path(sys.executable).with_name(NAME)
        return NAME if found and _same(Path(found), installed) else shlex.join([sys.orig_argv[0], "-m", NAME])
    if called.name != NAME or (found and _same(Path(found), called)):
        return NAME
    return shlex.quote(sys.argv[0])


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
