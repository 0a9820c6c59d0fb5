"""All commands under one name, and the way in. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import hftctl
from hftctl.cli import boundary, confirm, streams
from hftctl.cli.commands import register
from hftctl.cli.light import Group, lighten

SWITCHES = {"-v", "--debug", "--no-color"}  # taken wherever they stand, so that they can be added behind a command

app = typer.Typer(
    name="hftctl",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
register(app)
lighten(app)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"hftctl {hftctl.__version__}\n")
        raise typer.Exit


@app.callback()
def hftctl_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
    debug: Annotated[bool, typer.Option("-v", "--debug", help="Show where an error comes from.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR=1 does the same.")] = False,
) -> None:
    """Build, deploy and operate a low-latency trading stack.

    \b
    First steps:
      hftctl doctor                   what this machine can do
      hftctl deploy local             bring the stack up and prove it by an order
      hftctl status                   what stands, against what is wanted
      hftctl destroy                  take it down; data stays unless --data
    """


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing but SystemExit of shell completion gets out."""
    streams.open_streams()
    end = argv.index("--") if "--" in argv else len(argv)
    switches = SWITCHES.intersection(argv[:end])
    words = [word for index, word in enumerate(argv) if index >= end or word not in SWITCHES]
    confirm.remember(words)
    if "--no-color" in switches:
        os.environ["NO_COLOR"] = "1"

    def command() -> int:
        streams.check_words(words)
        code = app(words, prog_name="hftctl", standalone_mode=False)
        return code if isinstance(code, int) else 0

    return boundary.guarded(command, words, debug=bool(switches - {"--no-color"}))


def main() -> None:
    sys.exit(run(sys.argv[1:]))
