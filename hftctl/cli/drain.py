"""hftctl drain: the way to the point where nothing is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli import output
from hftctl.cli.called import typed
from hftctl.cli.confirm import asker
from hftctl.cli.options import Deployment, DryRun, Format, LockWait, Output, Yes, duration_s

if TYPE_CHECKING:
    from hftctl.operations.drain import DrainResult
    from hftctl.operations.drained import PartitionDrain

Limit = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="TIME",
        parser=duration_s,
        help="Give up when nothing got further for that long, e.g. 90s; default: the profile's.",
    ),
]


def drain(
    name: Deployment = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Goes to the journal.")] = "",
    timeout: Limit = None,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Refuse new orders and wait until nothing is under way. Before maintenance.

    \b
    Then everything acknowledged is on PostgreSQL's disk and in a verified
    snapshot of each partition. Cancels pass; hftctl resume ends it.
    Examples:
      hftctl drain --yes
      hftctl drain -p local --why 'new kernel' --timeout 5m --yes
    """
    from hftctl.cli.progress import reporting
    from hftctl.operations.drain import drain as run
    from hftctl.operations.drained import as_json

    with reporting() as progress:
        result = run(
            name,
            why=why,
            timeout_s=timeout,
            lock_wait_s=lock_wait,
            dry_run=dry_run,
            confirm=asker(yes),
            progress=progress,
        )
    if format_ is Format.JSON:
        names = ("deployment", "target", "result", "why", "duration_s")
        partitions = [as_json(partition) for partition in result.partitions]
        error = {"message": result.error.message, "hint": result.error.hint} if result.error else None
        body = {name: getattr(result, name) for name in names} | {"partitions": partitions, "error": error}
        output.document("Drain", body)
    else:
        _show(result)
    output.ended(result.error, as_json=format_ is Format.JSON)


def _show(result: DrainResult) -> None:
    rows = [[p.partition, p.sequence, p.live_orders, p.rows, _snapshot(p), _said(p)] for p in result.partitions]
    output.columns(["PARTITION", "SEQUENCE", "LIVE ORDERS", "ROWS", "SNAPSHOT", "RESULT"], rows)
    name = result.deployment
    if result.result == "planned":
        output.put(f"would drain '{name}': new orders refused, then what is left above")
    elif not result.error:
        how = (
            "is drained already"
            if result.result == "unchanged"
            else f"is drained ({output.duration(result.duration_s)})"
        )
        output.hanging(f"'{name}' {how}:", "new orders are refused, everything acknowledged is in PostgreSQL", gap=" ")
        output.put(typed(f"take orders again: hftctl resume -p {name} --why TEXT"))


def _snapshot(partition: PartitionDrain) -> str:
    if partition.snapshot is None:
        return "none, a start replays all"
    size = f" ({output.size(partition.snapshot_bytes)})" if partition.snapshot and partition.snapshot_bytes else ""
    return f"{partition.snapshot}{size}"


def _said(partition: PartitionDrain) -> str:
    behind = f", {partition.since} cancels and refused orders since" if partition.since else ""
    return f"{partition.message}{behind}"
