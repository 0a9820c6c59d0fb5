"""hftctl tune hosts: one command of tuning on every host of a profile's inventory."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli import output
from hftctl.cli.options import Format, Output, Profile, Yes
from hftctl.cli.tune_options import Force

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hftctl.operations.fleet import HostOutcome


class Verb(StrEnum):
    SHOW = "show"
    PLAN = "plan"
    APPLY = "apply"
    VERIFY = "verify"
    REVERT = "revert"


def hosts(
    verb: Annotated[Verb, typer.Argument(metavar="VERB", help="show, plan, apply, verify or revert.")],
    profile: Profile = "local",
    wave: Annotated[
        int | None, typer.Option("--wave", metavar="N", min=1, max=100, help="So many at once; default: host.wave.")
    ] = None,
    program: Annotated[
        str, typer.Option("--program", metavar="COMMAND", help="What hftctl is called on the hosts.")
    ] = "hftctl",
    force: Force = None,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Do VERB on every host of the profile's host.inventory, over ssh.

    The first host alone, then in waves. After an apply each host is
    verified; the first one that fails or is not as applied ends it, and
    the rest is not touched.

    \b
    Examples:
      hftctl tune hosts plan desk
      hftctl tune hosts apply desk --wave 4 --yes
    """
    from hftctl.cli.confirm import confirm_or_refuse
    from hftctl.errors import UsageError
    from hftctl.operations.fleet import over
    from hftctl.profile.load import load

    wanted = load(profile).values
    named = wanted["host"]["inventory"]
    if not named:
        raise UsageError(
            f"profile '{wanted['name']}' names no hosts", hint="write them below host.inventory: [desk3, ana@10.0.0.7]"
        )
    words = [verb.value]
    if verb in {Verb.PLAN, Verb.APPLY} and wanted["host"]["profile"]:
        words.append(wanted["host"]["profile"])
    words += [word for code in force or () for word in ("--force", code)]
    if verb in {Verb.APPLY, Verb.REVERT}:
        confirm_or_refuse(f"tune {verb.value} on {len(named)} hosts ({', '.join(named)})", yes=yes)
        words.append("--yes")
    outcomes = over(
        named,
        words,
        program=program,
        wave=wave or wanted["host"]["wave"],
        report=lambda one: output.say(f"{one.host}: {one.result}"),
    )
    if format_ is Format.JSON:
        output.document("TuneHosts", {"verb": verb.value, "profile": wanted["name"], "hosts": outcomes})
    else:
        rows = [[one.host, one.result, one.message] for one in outcomes]
        output.columns(["HOST", "RESULT", "WHAT"], rows, painted=1)
    _end(verb, outcomes, as_json=format_ is Format.JSON)


def _end(verb: Verb, outcomes: Sequence[HostOutcome], *, as_json: bool) -> None:
    from hftctl.cli.confirm import command_with
    from hftctl.errors import ChangesPending, HftctlError, NotFound, NotReverted
    from hftctl.operations.fleet import bad

    wrong = bad(outcomes)
    error: HftctlError | None = None
    if wrong and verb in {Verb.APPLY, Verb.REVERT}:
        stands = sum(one.result in {"ready", "unchanged"} for one in outcomes)
        error = NotReverted(
            f"cannot {verb.value} on all hosts: {wrong[0].host}: {wrong[0].message}; {stands} of {len(outcomes)} are done",
            hint=f"mend that host and go on: {command_with()}",
        )
    elif wrong:
        error = NotFound(f"cannot look at {wrong[0].host}: {wrong[0].message}")
    elif any(one.result in {"pending", "differs"} for one in outcomes):
        error = ChangesPending("not every host is as wanted")
    output.ended(error, as_json=as_json)
