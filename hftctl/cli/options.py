"""Options that several commands share, written once so that they mean the same everywhere."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"


def duration_s(text: str | float) -> float:
    """`90`, `90s`, `2m`, `1h`, `250ms` in seconds."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)?", str(text).strip())
    if found is None:
        raise typer.BadParameter(f"'{text}' is not a duration such as 90s, 2m or 1h")
    return float(found[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}[found[2]]


def complete_profiles(incomplete: str) -> list[str]:
    from hftctl.profile.search import listed

    return [name for name, _ in listed() if name.startswith(incomplete)]


def complete_deployments(incomplete: str) -> list[str]:
    from hftctl.paths import deployments

    return [name for name in deployments() if name.startswith(incomplete)]


Profile = Annotated[
    str,
    typer.Argument(
        metavar="PROFILE", help="Name of a profile, or a file.", autocompletion=complete_profiles, show_default=True
    ),
]
Deployment = Annotated[
    str | None,
    typer.Option(
        "-p",
        "--profile",
        metavar="NAME",
        help="Which deployment, when several stand.",
        autocompletion=complete_deployments,
    ),
]
Environment = Annotated[
    str | None,
    typer.Option("--environment", metavar="NAME", help="development, staging or production; wins over the profile's."),
]
Output = Annotated[Format, typer.Option("-o", "--output", help="json: one document on stdout.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and change nothing.")]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Name of the deployment, if not the profile's.")
]
Tag = Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Tag of the images.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until ready and prove it by an order.")]
Bake = Annotated[bool, typer.Option("--bake/--no-bake", help="Watch it as long as the profile says (rollout.bake_s).")]
Canary = Annotated[
    bool, typer.Option("--canary/--no-canary", help="Let few requests to new gateways first (rollout.canary).")
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="TIME",
        parser=duration_s,
        help="Give up after that long, e.g. 90s; default: the profile's.",
    ),
]
LockWait = Annotated[
    float,
    typer.Option("--lock-wait", metavar="TIME", parser=duration_s, help="Wait that long for somebody else to end."),
]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on as they come.")]
Since = Annotated[
    float | None, typer.Option("--since", metavar="TIME", parser=duration_s, help="Only that far back: 10m, 1h.")
]
