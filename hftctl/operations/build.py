"""The compiled parts, built where the source tree is, when they are older than their sources."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hftctl.errors import Failed, NotFound
from hftctl.operations.terms import Report, silent
from hftctl.paths import package_folder
from hftctl.plan.execute import Progress
from hftctl.release import code_artifacts
from hftctl.run import run

PACKAGES = ("engine", "stack", "hftctl")
GUEST_SOURCE = "tuning/rehearse/guest/init.c"  # of hftctl: a program of its own, see setup.py
BUILD_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class BuildResult:
    built: bool
    message: str
    artifacts: dict[str, str]
    duration_s: float = 0.0


@dataclass(frozen=True)
class ImageResult:
    built: bool
    reference: str
    size_bytes: int
    sbom: str  # CycloneDX, a file
    duration_s: float


def compiler() -> str | None:
    command = (sysconfig.get_config_var("CC") or "cc").split()[0]
    return shutil.which(command) or shutil.which("cc")


def source_tree() -> Path | None:
    """Where setup.py stands, when the packages run from their source tree."""
    tree = package_folder("engine").parent
    return tree if (tree / "setup.py").is_file() else None


def stale() -> list[str]:
    """Modules whose compiled form is missing or older than a source it may depend on."""
    found: list[str] = []
    folders = [package_folder(package) for package in PACKAGES]
    shared = [path.stat().st_mtime for folder in folders for kind in ("*.pxd", "*.h") for path in folder.rglob(kind)]
    for folder in folders:
        for source in sorted(folder.rglob("*.pyx")):
            newest = max([source.stat().st_mtime, *shared])
            built = list(source.parent.glob(f"{source.stem}.*.so"))
            if not built or max(path.stat().st_mtime for path in built) < newest:
                found.append(f"{folder.name}/{source.relative_to(folder)}")
    source = package_folder("hftctl") / GUEST_SOURCE
    if platform.machine() == "x86_64" and source.is_file():
        program = source.with_suffix("")
        if not program.is_file() or program.stat().st_mtime < source.stat().st_mtime:
            found.append(f"hftctl/{GUEST_SOURCE}")
    return found


def build(*, progress: Report = silent) -> BuildResult:
    """Build the compiled parts. Without a compiler the plain-Python engine runs; a compile error is an error."""
    tree = source_tree()
    if tree is None:
        return BuildResult(False, "installed as a package: its compiled parts came with it", code_artifacts())
    if compiler() is None:
        return BuildResult(False, "no C compiler here: the plain-Python engine will run", code_artifacts())
    progress(Progress("build", "applying", "compiling the engine", 0.0))
    try:
        done = run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], timeout_s=BUILD_TIMEOUT_S, cwd=tree)
    except NotFound as error:
        raise Failed(f"cannot build the engine: {error.message}") from error
    _now_fresh()
    progress(Progress("build", "ready", "compiled", done.duration_s))
    return BuildResult(True, "compiled", code_artifacts(), done.duration_s)


def _now_fresh() -> None:
    """A part that a newer shared source is no part of was not compiled again; without this it would look stale for ever."""
    for folder in map(package_folder, PACKAGES):
        for source in folder.rglob("*.pyx"):
            for path in source.parent.glob(f"{source.stem}.*.so"):
                os.utime(path)


def build_if_stale(*, progress: Report = silent) -> BuildResult | None:
    return build(progress=progress) if source_tree() is not None and compiler() is not None and stale() else None


def build_image(
    images: Mapping[str, Any],
    *,
    progress: Report = silent,
    tag: str | None = None,
    push: bool = False,
    platforms: Sequence[str] = (),
    ca_bundle: Path | None = None,
    pip_config: Path | None = None,
) -> ImageResult:
    """Build the image of our services on the Docker engine, unless one of this content is there. `images`: of the profile."""
    from hftctl.targets.compose import building

    wanted = building.Wanted(
        images, tag=tag, push=push, platforms=tuple(platforms), ca_bundle=ca_bundle, pip_config=pip_config
    )
    done = building.build(wanted, begun=lambda name: progress(Progress("images", "applying", f"building {name}", 0.0)))
    if done.built:
        progress(Progress("images", "ready", f"{done.reference}, {done.size_bytes / 1e6:.0f} MB", done.duration_s))
    return ImageResult(done.built, done.reference, done.size_bytes, done.sbom, done.duration_s)
