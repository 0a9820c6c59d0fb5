"""hftctl backup: take backups, look at them, prove them, bring them back, let old ones go."""

from __future__ import annotations

import typer

from hftctl.cli import backup_keep, backup_list, backup_proof, backup_restore, backup_take

app = typer.Typer(
    no_args_is_help=True,
    help="Backups, proven by restoring them: create, mark, list, verify, drill, restore, prune.",
)
app.command()(backup_take.create)
app.command()(backup_take.mark)
app.command("list")(backup_list.list_)
app.command()(backup_proof.verify)
app.command()(backup_proof.drill)
app.command()(backup_restore.restore)
app.command()(backup_keep.prune)
