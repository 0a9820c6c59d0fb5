"""hftctl backup restore: beside first, compared, then in the place of what stands."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli import output
from hftctl.cli.backup_options import Id, Store, sequences, time_ns
from hftctl.cli.confirm import asker, confirm_or_refuse
from hftctl.cli.options import Deployment, DryRun, Format, LockWait, Output, Yes

if TYPE_CHECKING:
    from hftctl.operations.backup.restore import Restored


def restore(
    backup: Id = None,
    name: Deployment = None,
    store: Store = None,
    to_sequence: Annotated[
        list[str] | None,
        typer.Option("--to-sequence", metavar="[P=]N", help="Up to command N, of partition P where there are several."),
    ] = None,
    to_time: Annotated[
        int | None, typer.Option("--to-time", metavar="TIME", parser=time_ns, help="Up to that time, with its zone.")
    ] = None,
    identity: Annotated[
        Path | None, typer.Option("--identity", metavar="FILE", help="age identity, where secrets are lost too.")
    ] = None,
    new_secrets: Annotated[
        bool, typer.Option("--new-secrets", help="Make new passwords and API keys instead.")
    ] = False,
    discard_old: Annotated[
        bool, typer.Option("--discard-old", help="Restore nothing: delete the data that earlier restores have kept.")
    ] = False,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Bring a backup back: now, or as it was at a command or a time.

    It comes up beside what runs and is compared; only then it takes its
    place, at once. Old data are kept. A wiped machine needs nothing else.

    \b
    Examples:
      hftctl backup restore --store /mnt/backups
      hftctl backup restore --to-time 2026-11-28T14:02:03Z -p local --yes
    """
    from hftctl.cli.progress import reporting
    from hftctl.operations.backup.choose import Wanted
    from hftctl.operations.backup.restore import restore as run

    if discard_old:
        _discard(name, lock_wait_s=lock_wait, yes=yes, dry_run=dry_run)
        return
    wanted = Wanted(sequences(to_sequence or []), to_time)
    with reporting() as progress:
        done = run(
            name, backup, wanted=wanted, store=store, identity=identity, new_secrets=new_secrets,
            lock_wait_s=lock_wait, dry_run=dry_run, confirm=asker(yes), progress=progress,
        )  # fmt: skip
    if format_ is Format.JSON:
        output.document("BackupRestore", {**asdict(done), "error": None if done.error is None else done.error.message})
    else:
        _show(done)
    output.ended(done.error, as_json=format_ is Format.JSON)


def _show(done: Restored) -> None:
    for note in done.notes:
        output.hanging("note:", note, gap=" ")
    rows: list[list[object]] = [
        [one.partition, one.sequence, one.live_orders, one.rows, done.behind.get(one.partition, 0)]
        for one in done.partitions
    ]
    if done.result == "planned":
        rows = [[number, None, None, None, behind] for number, behind in done.behind.items()]
    output.columns(["PARTITION", "SEQUENCE", "LIVE ORDERS", "ROWS", "BEHIND IT"], rows)
    result = "would be restored" if done.result == "planned" else f"is {done.result}"
    took = f": {output.duration(done.rto_s)}, {output.duration(done.paused_s)} of them without orders"
    output.put(f"backup {done.backup} of '{done.deployment}' {result}{took if done.paused_s else ''}")
    if done.kept:
        output.put(
            f"the data before are in {done.kept}; delete them: hftctl backup restore --discard-old -p {done.deployment}"
        )


def _discard(name: str | None, *, lock_wait_s: float, yes: bool, dry_run: bool) -> None:
    from hftctl.operations.backup.swap import discard
    from hftctl.operations.standing import which
    from hftctl.paths import layout

    deployment = which(name)
    kept = [str(folder) for folder in layout(deployment).asides()]
    if kept and not dry_run:
        confirm_or_refuse(f"delete {', '.join(kept)}", yes=yes)
        kept = [str(folder) for folder in discard(deployment, lock_wait_s=lock_wait_s)]
    output.put(f"{'would delete' if dry_run else 'deleted'}: {', '.join(kept) or 'nothing, no restore has kept any'}")
