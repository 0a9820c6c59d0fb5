"""hftctl drift: what somebody changed by hand, and the command that leads back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from hftctl.cli import output
from hftctl.cli.called import typed
from hftctl.cli.diff import shown
from hftctl.cli.options import Deployment, Format, Output
from hftctl.errors import ChangesPending

if TYPE_CHECKING:
    from hftctl.operations.drift import DriftReport

LINES_SHOWN = 20


def drift(name: Deployment = None, format_: Output = Format.TEXT) -> None:
    """Show what is not as its revision wants it, and what repairs it. Reads only.

    Edited files, processes, programs, rights, sockets, settings inside
    PostgreSQL, Valkey and nginx, the schema. Exit code 3 when there is drift.

    \b
    Examples:
      hftctl drift
      hftctl drift -p local -o json
    """
    from hftctl.operations.drift import drift as look

    report = look(name)
    if format_ is Format.JSON:
        output.document("Drift", {**asdict(report), "count": len(report.findings)})
    else:
        _text(report)
    if report.findings:
        raise typer.Exit(ChangesPending.exit_code)


def _text(report: DriftReport) -> None:
    if not report.findings:
        output.put(f"no drift: '{report.deployment}' stands as revision {report.revision} wants it")
        return
    for one in report.findings:
        output.hanging(output.paint(f"{one.subject}:", "1;33"), one.message)
        for line in one.diff[:LINES_SHOWN]:
            output.put(f"    {shown(line)}")
        if (more := len(one.diff) - LINES_SHOWN) > 0:
            output.put(typed(f"    ... and {more} more lines; all of them: hftctl drift -o json"))
        output.put(f"  repair: {typed(one.repair)}")
