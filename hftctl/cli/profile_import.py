"""hftctl profile import: settings of an older deployment become a profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hftctl.cli import output
from hftctl.cli.called import typed
from hftctl.cli.confirm import confirm_or_refuse
from hftctl.cli.options import DryRun, Format, Output, Yes


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="Settings: [system], [trading] and so on.")],
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where the profile goes.")] = None,
    extends: Annotated[str, typer.Option("--extends", metavar="NAME", help="The profile it builds on.")] = "local",
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Turn a settings file (TOML) into a profile, and say what each key became.

    \b
    Examples:
      hftctl profile import production.toml --dry-run
      hftctl profile import staging.toml --to profiles/desk.yaml --yes
    """
    from hftctl.profile import importing

    imported = importing.read(file, to=to, extends=extends)
    if format_ is Format.TEXT:
        rows = [
            [one.key, json.dumps(one.value, default=str), one.became or "(left out)", one.note]
            for one in imported.taken
        ]
        output.columns(["SETTING", "VALUE", "BECAME", "NOTE"], rows)
    if not dry_run:
        confirm_or_refuse(f"write {imported.file}", yes=yes)
        importing.write(imported)
    if format_ is Format.JSON:
        body = {"file": str(imported.file), "name": imported.name, "written": not dry_run, "settings": imported.taken}
        output.document("ProfileImport", {**body, "text": imported.text})
        return
    output.put(f"\n{imported.text}" if dry_run else f"\nwritten: {imported.file}")
    if not dry_run:
        output.put(typed(f"next: hftctl profile check {imported.file}"))
