"""hftctl backup prune: what stays, what goes."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli import output
from hftctl.cli.backup_options import Store
from hftctl.cli.confirm import confirm_or_refuse
from hftctl.cli.options import Deployment, DryRun, Format, LockWait, Output, Yes

if TYPE_CHECKING:
    from hftctl.operations.backup.prune import Fate, Pruned


def prune(
    name: Deployment = None,
    store: Store = None,
    last: Annotated[
        int | None,
        typer.Option("--keep-last", min=1, metavar="N", help="The newest ones; default: backup.keep of the profile."),
    ] = None,
    daily: Annotated[
        int | None, typer.Option("--keep-daily", min=0, metavar="N", help="Days of which the last one stays.")
    ] = None,
    weekly: Annotated[int | None, typer.Option("--keep-weekly", min=0, metavar="N", help="Weeks, likewise.")] = None,
    monthly: Annotated[int | None, typer.Option("--keep-monthly", min=0, metavar="N", help="Months, likewise.")] = None,
    unmark: Annotated[
        list[str] | None, typer.Option("--unmark", metavar="MARK", help="Take this mark away; it protects no longer.")
    ] = None,
    damaged: Annotated[bool, typer.Option("--damaged", help="Delete damaged ones too.")] = False,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Delete backups that are not kept any more, and what only they held.

    The newest ones stay, the last of each of so many days, weeks and months
    (UTC), marked ones, and the one that a drill proved last.

    \b
    Examples:
      hftctl backup prune --store /mnt/backups --dry-run
      hftctl backup prune -p local --keep-daily 14 --yes
    """
    from hftctl.cli.progress import reporting
    from hftctl.operations.backup.prune import prune as run

    given = {"last": last, "daily": daily, "weekly": weekly, "monthly": monthly}

    def confirm(planned: Pruned) -> None:
        for line in [] if yes else [f"  {one.id}: {_because(one)}" for one in planned.backups]:
            output.say(line)
        what = f"delete {len(planned.going)} of {len(planned.backups)} backups of '{planned.deployment}', for good"
        confirm_or_refuse(what if planned.going else f"change the backups of '{planned.deployment}'", yes=yes)

    with reporting() as progress:
        done = run(
            name, keep={key: value for key, value in given.items() if value is not None}, unmark=unmark or (),
            damaged=damaged, store=store, lock_wait_s=lock_wait, dry_run=dry_run, confirm=confirm, progress=progress,
        )  # fmt: skip
    if format_ is Format.JSON:
        output.document("BackupPrune", {**asdict(done), "going": done.going})
        return
    _show(done)
    output.put(
        f"{'deleted' if done.done else 'would delete'} {len(done.going)} of {len(done.backups)} backups of "
        f"'{done.deployment}' and {done.objects} objects, {output.size(done.freed_bytes)}"
    )


def _show(found: Pruned) -> None:
    rows = []
    for one in found.backups:
        age = output.duration((time.time_ns() - one.created_ns) / 1e9) if one.created_ns else None
        rows.append([one.id, "ok" if one.why else "delete", age, one.mark or None, _because(one)])
    output.columns(["BACKUP", "STATE", "AGE", "MARK", "BECAUSE"], rows, painted=1)


def _because(one: Fate) -> str:
    if one.why:
        return f"stays: {', '.join(one.why)}"
    return "goes: older than what is kept" if one.created_ns else "goes: damaged"
