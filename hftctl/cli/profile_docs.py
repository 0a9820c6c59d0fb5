"""hftctl profile schema and docs: what a profile may hold, for editors and for people."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from hftctl.cli import output
from hftctl.cli.options import Format, Output


def schema(format_: Output = Format.TEXT) -> None:
    """Print the JSON Schema of profile files, for editors.

    \b
    Examples:
      hftctl profile schema > profile.schema.json
      hftctl profile schema -o json
    """
    from hftctl.profile.describe import json_schema

    if format_ is Format.JSON:
        output.document("ProfileSchema", {"schema": json_schema()})
    else:
        output.put(json.dumps(json_schema(), indent=2))


def docs(
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="One key, or a section.")] = None,
    format_: Output = Format.TEXT,
) -> None:
    """Say what each key means, its range and its default.

    \b
    Examples:
      hftctl profile docs
      hftctl profile docs engine.client_ids_max
    """
    from hftctl.profile.describe import rows

    if format_ is Format.JSON:
        output.document("ProfileDocs", {"keys": rows(key)})
        return
    for row in rows(key):
        bounds = f", {row.range}" if row.range else ""
        output.put(
            f"{output.paint(row.key, '1')}: {row.type}{bounds}; {f'default {row.default}' if row.default else 'required'}"
        )
        output.put(f"    {row.description}")
