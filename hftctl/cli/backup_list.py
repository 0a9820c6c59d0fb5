"""hftctl backup list."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hftctl.cli import output
from hftctl.cli.backup_options import Store
from hftctl.cli.options import Deployment, Format, Output

if TYPE_CHECKING:
    from hftctl.archive.manifest import Manifest


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
        output.columns(["BACKUP", "STATE", "AGE", "COMMANDS", "STORED", "SECRETS", "MARK", "SAYS"], rows, painted=1)
    output.ended(found.error, as_json=format_ is Format.JSON)


def _row(id_: str, manifest: Manifest | None, problem: str) -> list[object]:
    if manifest is None:
        return [id_, "failed", None, None, None, None, None, problem]
    age = output.duration((time.time_ns() - manifest.created_ns) / 1e9)
    secrets = "encrypted" if manifest.secrets else "left out"
    return [
        id_, "ok", age, manifest.commands, output.size(manifest.stored_bytes), secrets,
        manifest.mark or None, f"by {manifest.actor}",
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
        "mark",
    )
    points = [
        {"partition": one.partition, "sequence": one.sequence, "time_ns": one.time_ns} for one in manifest.partitions
    ]
    return {name: getattr(manifest, name) for name in names} | {"partitions": points}
