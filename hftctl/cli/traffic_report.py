"""What the reports of load and replay look like, and how a command that got one ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hftctl.cli import output
from hftctl.cli.options import Format
from hftctl.errors import BelowTarget, DamageFound, HftctlError, Interrupted

Report = dict[str, Any]


def load(report: Report, code: int, format_: Format) -> None:
    _show("Load", report, _load_ended(report, code), format_, output.facts)


def replay(report: Report, code: int, format_: Format) -> None:
    _show("Replay", report, _replay_ended(report, code), format_, _differences)


def _load_ended(report: Report, code: int) -> HftctlError | None:
    if code == Interrupted.exit_code:
        return Interrupted("the load was interrupted; the report holds what was measured until then")
    if code != BelowTarget.exit_code:
        return None
    failed, wanted = report["requests"] - report["succeeded"], report.get("target_per_s")
    causes = [f"{failed} of {report['requests']} requests failed"] if failed else []
    causes += [f"{report['not_sent']} were never sent"] if report["not_sent"] else []
    if wanted is not None and report["achieved_per_s"] < wanted:
        causes.append(f"{report['achieved_per_s']} orders per second were reached, {wanted} are the target")
    return BelowTarget(
        f"the load is below its target: {', '.join(causes)}", hint="hftctl status; hftctl logs --since 5m"
    )


def _replay_ended(report: Report, code: int) -> HftctlError | None:
    if code != DamageFound.exit_code:
        return None
    return DamageFound(
        f"{report['mismatches']} answers differ from the reference book's, the first: {report['mismatches_shown'][0]}",
        hint=f"does anything else trade {report['symbol']}? Else see: hftctl book {report['symbol']} --verify",
    )


def _differences(report: Report) -> None:
    """The report; what differs stands in lines of its own below it."""
    output.facts({key: value for key, value in report.items() if key != "mismatches_shown"})
    for mismatch in report["mismatches_shown"]:
        output.put(f"{output.paint('differs:', '1;31')} {mismatch}")
    if (left := report["mismatches"] - len(report["mismatches_shown"])) > 0:
        output.put(f"and {left} more")


def _show(
    kind: str,
    report: Report,
    how: HftctlError | None,
    format_: Format,
    text: Callable[[Report], None],
) -> None:
    if format_ is Format.JSON:
        output.document(kind, report)
    else:
        text(report)
    output.ended(how, as_json=format_ is Format.JSON)
