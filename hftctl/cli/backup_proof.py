"""hftctl backup verify and drill: is it whole, and does it come up again?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from hftctl.cli import output
from hftctl.cli.backup_options import Id, Store
from hftctl.cli.options import Deployment, Format, LockWait, Output


def verify(
    backup: Id = None,
    name: Deployment = None,
    store: Store = None,
    all_: Annotated[bool, typer.Option("--all", help="Every backup there is.")] = False,
    lock_wait: LockWait = 0.0,
    format_: Output = Format.TEXT,
) -> None:
    """Read a backup in full: every byte, the journal's chain, its replay.

    Exit code 10 when something is damaged or missing, with its name.

    \b
    Examples:
      hftctl backup verify --store /mnt/backups
      hftctl backup verify --all -p local -o json
    """
    from hftctl.cli.progress import reporting
    from hftctl.operations.backup.look import verify as run

    with reporting() as progress:
        found = run(name, backup, all_=all_, store=store, lock_wait_s=lock_wait, progress=progress)
    if format_ is Format.JSON:
        body = {"deployment": found.deployment, "store": found.store, "duration_s": found.duration_s}
        error = {"message": found.error.message, "hint": found.error.hint} if found.error else None
        output.document(
            "BackupVerification", body | {"backups": [asdict(one) for one in found.backups], "error": error}
        )
    else:
        rows = [
            [one.id, "failed" if one.problem else "ok", one.commands, one.live_orders, one.problem or "whole"]
            for one in found.backups
        ]
        output.columns(["BACKUP", "STATE", "COMMANDS", "LIVE ORDERS", "SAYS"], rows, painted=1)
    output.ended(found.error, as_json=format_ is Format.JSON)


def drill(
    backup: Id = None,
    name: Deployment = None,
    store: Store = None,
    lock_wait: LockWait = 0.0,
    format_: Output = Format.TEXT,
) -> None:
    """Restore a backup beside what runs, compare, measure, take it away again.

    Engine, replay, journal and rows must be one, and an order must go
    through. The report is kept in the store, chained to the one before.

    \b
    Examples:
      hftctl backup drill --store /mnt/backups
      hftctl backup drill -p local -o json
    """
    from hftctl.cli.progress import reporting
    from hftctl.operations.backup.drill import drill as run

    with reporting() as progress:
        done = run(name, backup, store=store, lock_wait_s=lock_wait, progress=progress)
    if format_ is Format.JSON:
        names = (
            "deployment",
            "store",
            "backup",
            "report",
            "result",
            "fetched_s",
            "serving_s",
            "rows_s",
            "rto_s",
            "rpo_s",
            "compared_s",
        )
        error = {"message": done.error.message, "hint": done.error.hint} if done.error else None
        body = {name: getattr(done, name) for name in names}
        output.document("BackupDrill", body | {"partitions": [asdict(one) for one in done.partitions], "error": error})
    else:
        rows = [
            [
                one.partition,
                one.sequence,
                one.live_orders,
                one.trades,
                one.rows,
                f"{one.state_hash:016x}",
                _original(one.matches_original),
            ]
            for one in done.partitions
        ]
        output.columns(["PARTITION", "SEQUENCE", "LIVE ORDERS", "TRADES", "ROWS", "BOOK HASH", "EQUAL"], rows)
        output.put(
            f"backup {done.backup} of '{done.deployment}' is {done.result}: RTO {output.duration(done.rto_s)} (journal "
            f"{output.duration(done.fetched_s)}, serving {output.duration(done.serving_s)}, rows {output.duration(done.rows_s)}), "
            f"RPO {output.duration(done.rpo_s)}"
        )
        output.put(f"report: {done.report}")
    output.ended(done.error, as_json=format_ is Format.JSON)


def _original(same: bool | None) -> str:
    return "engine, replay, journal, rows" + (", and what runs" if same else "")
