"""hftctl doctor: what this machine can and cannot do."""

from __future__ import annotations

from typing import Annotated

import typer

from hftctl.cli import output
from hftctl.cli.called import typed
from hftctl.cli.options import Format, Output, Profile


def doctor(
    profile: Profile = "local",
    print_rbac: Annotated[
        bool,
        typer.Option(
            "--print-rbac", help="Print the least rights that a pipeline needs on a cluster, for kubectl apply."
        ),
    ] = False,
    format_: Output = Format.TEXT,
) -> None:
    """Say what this machine can and cannot do, and how to mend it. Reads only.

    Exit code 9 when something would stop a deployment; warnings do not.

    \b
    Examples:
      hftctl doctor
      hftctl doctor orbstack --print-rbac
    """
    from hftctl.errors import Degraded
    from hftctl.operations.doctor import examine, rights
    from hftctl.profile.load import load

    if print_rbac:
        output.put(rights(load(profile).values).rstrip())
        return
    found = list(examine(load(profile).values))
    problems = [finding for finding in found if finding.level == "problem"]
    if format_ is Format.JSON:
        output.document("Doctor", {"healthy": not problems, "findings": found})
    else:
        output.columns(["", "WHAT", "FOUND"], [[one.level, one.subject, one.message] for one in found], painted=0)
        for one in found:
            if one.level != "ok":
                output.put(f"fix {one.subject}: {typed(one.fix)}")
    if problems:
        error = Degraded(
            f"{len(problems)} of {len(found)} findings would stop a deployment: {', '.join(p.subject for p in problems)}",
            hint=problems[0].fix,
        )
        output.ended(error, as_json=format_ is Format.JSON)
