"""hftctl build: the compiled engine, when it is older than its sources."""

from __future__ import annotations

from typing import Annotated

import typer

from hftctl.cli import output
from hftctl.cli.options import Format, Output
from hftctl.errors import Refused, UsageError

PARTS = ("engine", "images")


def build(
    only: Annotated[
        str, typer.Option("--only", metavar="PARTS", help="engine; images come in a later release.")
    ] = "engine",
    format_: Output = Format.TEXT,
) -> None:
    """Build the compiled engine. Nothing is done when it is up to date.

    \b
    Examples:
      hftctl build
      hftctl build --only engine -o json
    """
    wanted = [part.strip() for part in only.split(",")]
    if unknown := [part for part in wanted if part not in PARTS]:
        raise UsageError(f"cannot build {', '.join(unknown)}; the parts are: {', '.join(PARTS)}")
    if "images" in wanted:
        raise Refused(
            "cannot build images: not in this release, which runs on the local target",
            hint="build the engine: hftctl build --only engine",
        )
    from hftctl.cli.progress import reporting
    from hftctl.operations import build as building
    from hftctl.release import code_artifacts

    if building.source_tree() and building.compiler() and not building.stale():
        result = building.BuildResult(False, "up to date: nothing to build", code_artifacts())
    else:
        with reporting() as progress:
            result = building.build(progress=progress)
    if format_ is Format.JSON:
        body = {"built": result.built, "message": result.message, "artifacts": result.artifacts}
        output.document("Build", body | {"duration_s": result.duration_s})
    else:
        output.put(result.message)
