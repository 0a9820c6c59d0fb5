"""hftctl backup: take backups, look at them, prove them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli import backup_proof, backup_restore, output
from hftctl.cli.backup_options import Store
from hftctl.cli.options import Deployment, Format, LockWait, Output

if TYPE_CHECKING:
    from hftctl.archive.manifest import Manifest

app = typer.Typer(no_args_is_help=True, help="Backups, proven by restoring them: create, list, verify, drill, restore.")


@app.command()
def create(
    name: Deployment = None,
    store: Store = None,
    recipient: Annotated[
        str,
        typer.Option(
            "--recipient", metavar="AGE1...", help="Encrypt secrets to this age recipient; default: the profile's."
        ),
    ] = "",
    lock_wait: LockWait = 0.0,
    format_: Output = Format.TEXT,
) -> None:
    """Take a backup. Orders go on; what was copied before is not copied again.

    Without a recipient secrets are left out, and that is said.

    \b
    Examples:
      hftctl backup create --store /mnt/backups
      hftctl backup create -p local --recipient age1... -o json
    """
    from hftctl.cli.progress import reporting
    from hftctl.operations.backup.create import create as run

    with reporting() as progress:
        made = run(name, store=store, recipient=recipient, lock_wait_s=lock_wait, progress=progress)
    manifest = made.manifest
    if format_ is Format.JSON:
        output.document(
            "Backup",
            {"store": str(made.store.folder), "objects": made.objects, "copied": made.copied, **body(manifest)},
        )
        return
    output.put(
        f"backup {manifest.id} of '{manifest.deployment}': {manifest.commands} commands, {made.objects} objects, "
        f"{made.copied} of them new ({output.size(manifest.stored_bytes)}), {output.duration(manifest.took_s)}"
    )
    for one in manifest.left_out:
        output.hanging("left out:", one, gap=" ")
    output.put(f"prove it: hftctl backup drill {made.store.named}")


@app.command("list")
def list_(name: Deployment = None, store: Store = None, format_: Output = Format.TEXT) -> None:
    """Show the backups there are, the newest first. Exit code 10 when one is damaged.

    \b
    Examples:
      hftctl backup list --store /mnt/backups
      hftctl backup list -p local -o json
    """
    from hftctl.operations.backup.look import listed

    found = listed(name, store=store)
    if format_ is Format.JSON:
        entries = [
            {"id": one.id, "problem": one.problem, **(body(one.manifest) if one.manifest else {})}
            for one in found.backups
        ]
        output.document("BackupList", {"deployment": found.deployment, "store": found.store, "backups": entries})
    else:
        rows = [_row(one.id, one.manifest, one.problem) for one in found.backups]
        output.columns(["BACKUP", "STATE", "AGE", "COMMANDS", "STORED", "SECRETS", "SAYS"], rows, painted=1)
    output.ended(found.error, as_json=format_ is Format.JSON)


def _row(id_: str, manifest: Manifest | None, problem: str) -> list[object]:
    if manifest is None:
        return [id_, "failed", None, None, None, None, problem]
    age = output.duration((time.time_ns() - manifest.created_ns) / 1e9)
    secrets = "encrypted" if manifest.secrets else "left out"
    return [
        id_, "ok", age, manifest.commands, output.size(manifest.stored_bytes), secrets,
        f"{manifest.made_by} by {manifest.actor}",
    ]  # fmt: skip


def body(manifest: Manifest) -> dict[str, object]:
    names = (
        "id",
        "deployment",
        "made_by",
        "actor",
        "created_ns",
        "took_s",
        "version",
        "recipient",
        "left_out",
        "stored_bytes",
    )
    points = [
        {"partition": one.partition, "sequence": one.sequence, "time_ns": one.time_ns} for one in manifest.partitions
    ]
    return {name: getattr(manifest, name) for name in names} | {"partitions": points}


app.command()(backup_proof.verify)
app.command()(backup_proof.drill)
app.command()(backup_restore.restore)
