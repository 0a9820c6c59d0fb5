"""hftctl status and history: what stands against what is wanted, and how it came to be."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hftctl.cli import output
from hftctl.cli.called import typed
from hftctl.cli.options import Deployment, Format, Output
from hftctl.cli.render import layout, recovery, sessions

if TYPE_CHECKING:
    from hftctl.operations.status import StatusReport
    from hftctl.release import Revision


def status(name: Deployment = None, format_: Output = Format.TEXT) -> None:
    """Show what stands, against what is wanted. Reads only.

    Exit code 9 when something wanted is not there, with the command to type.

    \b
    Examples:
      hftctl status
      hftctl status -p local -o json
    """
    from hftctl.operations.status import status as look

    report = look(name)
    if format_ is Format.JSON:
        output.document("Status", _body(report))
    else:
        _text(report)
    output.ended(report.error, as_json=format_ is Format.JSON)


def _text(report: StatusReport) -> None:
    revision = f"revision {report.revision.number}" if report.revision else "no revision"
    state = output.paint(report.state, output.STYLES.get(report.state, "33"))
    facts = [report.endpoint, revision, report.environment]
    facts += [f"orders enter by the {who}" for who in [layout(report.revision)] if who]
    output.hanging(f"{report.deployment}: {state},", ", ".join(filter(None, facts)), gap=" ")
    now = time.time_ns()
    rows = [
        [
            one.component,
            one.state if one.ready or one.state != "running" else "waiting",
            one.pid,
            output.duration((now - one.started_ns) / 1e9) if one.started_ns else None,
            one.restarts,
            output.size(one.memory_bytes) if one.memory_bytes else None,
            typed(one.message),
        ]
        for one in report.components
    ]
    output.columns(["COMPONENT", "STATE", "PID", "UP", "RESTARTS", "MEMORY", "SAYS"], rows, painted=1, cut=True)
    for partition in report.partitions:
        output.hanging(f"partition {partition.partition}:", partition.error or engine_line(partition.engine), gap=" ")
    for finding in report.findings:
        output.hanging(output.paint(f"{finding.level}:", "1;33"), f"{finding.subject} {finding.message}", gap=" ")
        output.put(f"  fix: {typed(finding.fix)}")


FACTS = ("sequence", "durable_sequence", "live_orders", "trades", "unacknowledged", "repeats", "busy")


def engine_line(engine: Mapping[str, Any]) -> str:
    """What an operator asks of an engine first."""
    parts = [f"{engine.get('implementation', 'unknown')} engine{', HALTED' if engine.get('halted') else ''}"]
    parts += [f"{name.replace('_', ' ')} {engine[name]}" for name in FACTS if name in engine]
    if "sync_s" in engine:
        parts.append(f"last disk sync {1000 * engine['sync_s']:.2f} ms")
    return ", ".join([*parts, *sessions(engine), *recovery(engine)])


def _body(report: StatusReport) -> dict[str, Any]:
    names = ("deployment", "target", "environment", "state", "message", "hint", "endpoint", "components", "partitions")
    body = {name: getattr(report, name) for name in names}
    body["layout"] = layout(report.revision)
    body["rollout"] = {"id": report.rollout.id, "verb": report.rollout.verb} if report.rollout else None
    return body | {"revision": revision_body(report.revision), "findings": report.findings}


def revision_body(revision: Revision | None) -> dict[str, Any] | None:
    if revision is None:
        return None
    names = ("number", "created_ns", "actor", "why", "rollout", "proof")
    body = {name: getattr(revision, name) for name in names}
    return body | {"release": revision.release.hash, "environment": revision.release.environment}


def history(name: Deployment = None, format_: Output = Format.TEXT) -> None:
    """Show the revisions recorded here, and the rollouts that made them.

    \b
    Examples:
      hftctl history
      hftctl history -p local -o json
    """
    from hftctl.operations.status import history as look

    found = look(name)
    if format_ is Format.JSON:
        names = ("id", "verb", "actor", "why", "started_ns", "ended_ns", "from_revision", "result", "message")
        rollouts = [{name: getattr(rollout, name) for name in names} for rollout in found.rollouts]
        revisions = [revision_body(revision) for revision in found.revisions]
        body = {"deployment": found.deployment, "target": found.target}
        output.document("History", body | {"revisions": revisions, "rollouts": rollouts})
        return
    rows = [[r.number, when(r.created_ns), r.release.hash[:12], r.actor, r.why] for r in found.revisions]
    output.columns(["REVISION", "WHEN", "RELEASE", "WHO", "WHY"], rows)
    output.put()
    tries = [[r.id, r.verb, r.result or "open", when(r.started_ns), r.actor, r.message] for r in found.rollouts]
    output.columns(["ROLLOUT", "VERB", "RESULT", "WHEN", "WHO", "SAYS"], tries, painted=2, cut=True)


def when(time_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ns / 1e9))
