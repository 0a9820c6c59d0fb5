"""hftctl build: the compiled engine and the image of the services, when they are older than their sources."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hftctl.cli import output
from hftctl.cli.options import Format, Output, Tag
from hftctl.errors import UsageError

if TYPE_CHECKING:
    from hftctl.operations.build import BuildResult

PARTS = ("engine", "images")


def build(
    only: Annotated[str, typer.Option("--only", metavar="PARTS", help="engine, images, or both.")] = "engine",
    profile: Annotated[str, typer.Option("--for", metavar="PROFILE", help="Whose images are built.")] = "compose",
    base_image: Annotated[
        str | None, typer.Option("--base-image", metavar="IMAGE", help="Instead of the profile's.")
    ] = None,
    ca_bundle: Annotated[
        Path | None,
        typer.Option("--ca-bundle", metavar="FILE", help="Whom to trust while building; stays in no layer."),
    ] = None,
    pip_config: Annotated[
        Path | None, typer.Option("--pip-config", metavar="FILE", help="pip's, while building; stays in no layer.")
    ] = None,
    push: Annotated[str | None, typer.Option("--push", metavar="REGISTRY", help="Send the image there.")] = None,
    tag: Tag = None,
    platform: Annotated[
        list[str] | None, typer.Option("--platform", metavar="OS/ARCH", help="For buildx; arm64 is untested.")
    ] = None,
    format_: Output = Format.TEXT,
) -> None:
    """Build the compiled engine, and the image of our services. Nothing is
    done when they are up to date.

    The image is named by the hash of its content: the same source is the same
    image. What is inside is written beside, as CycloneDX.

    \b
    Examples:
      hftctl build
      hftctl build --only images --ca-bundle /etc/ssl/certs/ca-certificates.crt
    """
    wanted = [part.strip() for part in only.split(",")]
    if unknown := [part for part in wanted if part not in PARTS]:
        raise UsageError(f"cannot build {', '.join(unknown)}; the parts are: {', '.join(PARTS)}")
    for file in filter(None, (ca_bundle, pip_config)):
        if not file.is_file():
            raise UsageError(f"cannot read {file}: it is no file")
    from hftctl.cli.progress import reporting
    from hftctl.operations import build as building

    result = _engine() if "engine" in wanted else building.BuildResult(False, "", {})
    body: dict[str, Any] = {"images": []}
    if "images" in wanted:
        from hftctl.profile.load import load

        images = dict(load(profile).values["images"])
        images |= {"base": base_image or images["base"], "registry": push or images["registry"]}
        with reporting() as progress:
            done = building.build_image(
                images, progress=progress, tag=tag, push=push is not None, platforms=platform or (),
                ca_bundle=ca_bundle, pip_config=pip_config,
            )  # fmt: skip
        body["images"] = [asdict(done)]
        said = (
            f"{done.reference} {'built' if done.built else 'is up to date: 0 builds'}, {done.size_bytes / 1e6:.0f} MB"
        )
        said += f", what is inside: {done.sbom}" if done.sbom else ""
        message = "; ".join(filter(None, (result.message, said)))
        artifacts = {**result.artifacts, "image": done.reference}
        result = replace(result, built=result.built or done.built, message=message, artifacts=artifacts,
                         duration_s=result.duration_s + done.duration_s)  # fmt: skip
    if format_ is Format.JSON:
        body |= {"built": result.built, "message": result.message, "artifacts": result.artifacts}
        output.document("Build", body | {"duration_s": result.duration_s})
    else:
        output.put(result.message)


def _engine() -> BuildResult:
    from hftctl.cli.progress import reporting
    from hftctl.operations import build as building
    from hftctl.release import code_artifacts

    if building.source_tree() and building.compiler() and not building.stale():
        return building.BuildResult(False, "up to date: nothing to build", code_artifacts())
    with reporting() as progress:
        return building.build(progress=progress)
