"""hftctl render: what a profile becomes, as files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hftctl.cli import output
from hftctl.cli.options import Environment, Format, Name, Output, Profile, Tag


def render(
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="New, empty, or of an earlier render.")],
    profile: Profile = "local",
    environment: Environment = None,
    name: Name = None,
    tag: Tag = None,
    format_: Output = Format.TEXT,
) -> None:
    """Write the files that a profile becomes to a folder. Changes nothing else.

    For the target compose they run with plain docker compose. Secrets are
    never in them. A file there that somebody edited is refused (exit code 7).

    \b
    Examples:
      hftctl render compose --to ./rendered
      hftctl render local --environment staging --to /tmp/rendered
    """
    from hftctl.operations.render import render as run
    from hftctl.profile.load import load

    done = run(load(profile, environment=environment).values, to, name=name, tag=tag)
    if format_ is Format.JSON:
        output.document("Rendered", asdict(done))
        return
    for one in done.files:
        output.put(str(to / one))
    for one in done.removed:
        output.put(f"{to / one} is gone: not wanted any more")
    if done.target == "compose":
        output.say(f"run it without hftctl: docker compose -f {to / 'compose.yaml'} up")
