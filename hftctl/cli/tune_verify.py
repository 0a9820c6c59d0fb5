"""hftctl tune verify and show: how this host stands."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli import output
from hftctl.cli.options import Format, Output
from hftctl.cli.tune_options import THIS_MACHINE, Root
from hftctl.errors import ChangesPending

if TYPE_CHECKING:
    from hftctl.operations.tune_show import Glance


def verify(
    root: Root = THIS_MACHINE,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what is as it was applied, with what shows it.")
    ] = False,
    format_: Output = Format.TEXT,
) -> None:
    """Compare what is in effect with what the last apply wanted. Reads only.

    Kernel parameters are judged by their effect and the kernel's log, not
    by standing on its command line. Exit code 3 when something differs.

    \b
    Examples:
      hftctl tune verify
      hftctl tune verify --all
    """
    from hftctl.operations.tune_verify import verify as look

    found = look(root)
    if format_ is Format.JSON:
        output.document("TuneVerification", {**asdict(found), "bad": len(found.bad)})
    else:
        differing = [one for one in found.verdicts if one.answer != "ok"]
        if shown := found.verdicts if everything else differing:
            output.columns(["", "WHERE", "FOUND"], [[one.answer, one.subject, one.message] for one in shown], painted=0)
        good = len(found.verdicts) - len(differing)
        output.put(f"{good} of {len(found.verdicts)} places of '{found.profile}' are as they were applied")
    if found.bad:
        raise typer.Exit(ChangesPending.exit_code)


def show(root: Root = THIS_MACHINE, format_: Output = Format.TEXT) -> None:
    """Show what is applied, what is not in effect, and what this host can.

    \b
    Examples:
      hftctl tune show
      hftctl tune show --root ./desk3 -o json
    """
    from hftctl.operations.tune_show import show as look

    found = look(root)
    if format_ is Format.JSON:
        output.document("TuneShow", asdict(found))
    else:
        _text(found)


def _text(found: Glance) -> None:
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found.applied_ns / 1e9))
    applied = f"{found.profile}, by {found.actor} on {when}" if found.profile else f"none; {found.fits} fits"
    output.facts(
        {
            "host": found.host,
            "host profile": applied,
            **({"CPUs": found.layout, "as applied": f"{found.places} places"} if found.profile else {}),
            **({"can be changed": f"no: {found.plan_only}"} if found.plan_only else {}),
            "ready for": [one.name for one in found.capabilities if one.ready],
            "not ready for": [f"{one.name} ({'; '.join(one.missing)})" for one in found.capabilities if not one.ready],
            "kept from before": f"{found.remembered} places",
        }
    )
    for sentence in found.bad:
        output.hanging(output.paint("not as applied:", "33"), sentence, gap=" ")
    for one in found.dead:
        output.hanging(output.paint(f"{one.where}:", "33"), f"{one.what} {one.why}", gap=" ")
    if found.interrupted:
        output.put(f"interrupted: {found.interrupted}; go on: hftctl tune apply; or back: hftctl tune revert")
    if found.locked_by:
        output.put(f"somebody is at it: {found.locked_by}")
