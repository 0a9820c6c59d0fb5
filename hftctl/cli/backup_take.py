"""hftctl backup create and mark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hftctl.cli import output
from hftctl.cli.backup_list import body
from hftctl.cli.backup_options import Recipient, Store
from hftctl.cli.options import Deployment, Format, LockWait, Output


def create(
    name: Deployment = None,
    store: Store = None,
    recipient: Recipient = "",
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
    _take(name, store, recipient, "", lock_wait, format_)


def mark(
    mark: Annotated[str, typer.Argument(metavar="MARK", help="Its name, such as before-the-upgrade; each once.")],
    name: Deployment = None,
    store: Store = None,
    recipient: Recipient = "",
    lock_wait: LockWait = 0.0,
    format_: Output = Format.TEXT,
) -> None:
    """Take a backup and give its point a name, which restore, verify and drill take.

    A marked backup stays until a prune is told to let it go.

    \b
    Examples:
      hftctl backup mark before-the-upgrade --store /mnt/backups
      hftctl backup mark end-of-day -p local -o json
    """
    _take(name, store, recipient, mark, lock_wait, format_)


def _take(name: str | None, store: Path | None, recipient: str, mark: str, lock_wait_s: float, format_: Format) -> None:
    from hftctl.cli.progress import reporting
    from hftctl.operations.backup.create import create as run

    with reporting() as progress:
        made = run(name, store=store, recipient=recipient, mark=mark, lock_wait_s=lock_wait_s, progress=progress)
    manifest = made.manifest
    if format_ is Format.JSON:
        output.document(
            "Backup",
            {"store": str(made.store.folder), "objects": made.objects, "copied": made.copied, **body(manifest)},
        )
        return
    output.put(
        f"backup {manifest.id} of '{manifest.deployment}'{f', marked {mark}' if mark else ''}: {manifest.commands} commands, "
        f"{made.objects} objects, {made.copied} of them new ({output.size(manifest.stored_bytes)}), "
        f"{output.duration(manifest.took_s)}"
    )
    for one in manifest.left_out:
        output.hanging("left out:", one, gap=" ")
    output.put(f"prove it: hftctl backup drill {made.store.named}")
