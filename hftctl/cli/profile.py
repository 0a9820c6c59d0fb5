"""hftctl profile: look at profiles, check them, and make them from settings of older deployments."""

from __future__ import annotations

import json

import typer

from hftctl.cli import output, profile_docs, profile_import
from hftctl.cli.options import Environment, Format, Output, Profile

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Profiles: what shall stand, in a YAML file.")


@app.command("list")
def list_(format_: Output = Format.TEXT) -> None:
    """List the profiles that can be named.

    \b
    Examples:
      hftctl profile list
      hftctl profile list -o json
    """
    from hftctl.profile.search import listed, summary

    found = [{"name": name, "file": str(path), "summary": summary(path)} for name, path in listed()]
    if format_ is Format.JSON:
        output.document("ProfileList", {"profiles": found})
    else:
        output.columns(["NAME", "FILE", "FOR"], [[one["name"], one["file"], one["summary"]] for one in found])


@app.command()
def show(profile: Profile = "local", environment: Environment = None, format_: Output = Format.TEXT) -> None:
    """Show every value with the file and line it comes from.

    \b
    Examples:
      hftctl profile show local
      hftctl profile show local --environment production -o json
    """
    from hftctl.profile.load import load

    found = load(profile, environment=environment)
    if format_ is Format.JSON:
        origins = {key: {"file": origin.file, "line": origin.line} for key, origin in found.origins.items()}
        layers = list(found.layers)
        output.document("Profile", {"profile": found.values, "origins": origins, "layers": layers})
        return
    rows: list[list[object]] = []
    for key, origin in found.origins.items():
        value: object = found.values
        for part in key.split("."):
            value = value[part] if isinstance(value, dict) else value
        text = json.dumps(value)
        rows.append(
            [key, text if len(text) <= 60 else f"{len(value) if isinstance(value, list) else 1} of them", origin]
        )
    output.columns(["KEY", "VALUE", "FROM"], rows)


@app.command()
def check(profile: Profile = "local", environment: Environment = None, format_: Output = Format.TEXT) -> None:
    """Check a profile and everything under it; exit 2 names file, line and key.

    \b
    Examples:
      hftctl profile check desk
      hftctl profile check ./desk.yaml --environment staging
    """
    from hftctl.profile.load import load

    found = load(profile, environment=environment)
    if format_ is Format.JSON:
        output.document("ProfileCheck", {"profile": found.values["name"], "layers": list(found.layers), "valid": True})
    else:
        output.hanging(f"{found.values['name']} is right:", ", ".join(found.layers), gap=" ")


app.command()(profile_docs.schema)
app.command()(profile_docs.docs)
app.command("import")(profile_import.import_)
