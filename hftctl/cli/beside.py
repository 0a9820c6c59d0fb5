"""hftctl exec: a command beside a component. We become that command, so terminal, signals and exit code are its own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import Annotated

import typer

from hftctl.cli import output
from hftctl.cli.confirm import asker
from hftctl.cli.options import Deployment, Yes
from hftctl.errors import NotFound


def exec_(
    component: Annotated[
        str, typer.Argument(metavar="COMPONENT", help="postgres, engine-0, gateway-2.", show_default=False)
    ],
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="What to run, behind --.", show_default=False)
    ],
    name: Deployment = None,
    yes: Yes = False,
) -> None:
    """Run a command where a component runs, logged in to its database as it is.

    Its folder, its variables; psql and valkey-cli need no password. Ends with
    the command's exit code. In production it asks first; hftctl events tells
    who ran what.

    \b
    Examples:
      hftctl exec postgres -- psql -c 'SELECT * FROM checkpoint'
      hftctl exec engine-0 -- ls -l ../data/partition-0/journal
    """
    from hftctl.operations.beside import prepare

    beside = prepare(name, component, command, confirm=asker(yes))
    if beside.unrecorded:
        output.say(f"{output.paint('warning:', '33', sys.stderr)} not recorded for events: {beside.unrecorded}")
    path = beside.surroundings.env.get("PATH", os.defpath)
    words = [*beside.surroundings.before, *command]
    program = shutil.which(words[0], path=path)
    if program is None:
        raise NotFound(
            f"cannot run {words[0]} beside {beside.component}: no program is called so, neither there nor in your PATH",
            hint=f"install it, or give its whole path; a shell is there: hftctl exec {beside.component} -- sh",
        )
    try:
        os.chdir(beside.surroundings.folder)
        output.flush()
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what is ignored stays so
        os.execve(program, words, dict(beside.surroundings.env))  # noqa: S606 - this process becomes the command
    except OSError as error:
        raise NotFound(f"cannot run {program} in {beside.surroundings.folder}: {error.strerror}") from error
