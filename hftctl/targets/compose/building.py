"""Building the image of our services by BuildKit, once per content; pushing it; what is inside."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hftctl import __version__
from hftctl.errors import Failed, NotFound, Refused
from hftctl.paths import home, make_folder, write_atomic
from hftctl.release import schema_range
from hftctl.run import run
from hftctl.targets.compose import images, names, sbom
from hftctl.targets.compose.daemon import Missing, address, connect, saying

GIT_TIMEOUT_S = 10.0
SAID_LINES = 15


@dataclass(frozen=True)
class Wanted:
    """How images are to be built."""

    images: Mapping[str, Any]  # the section of the profile
    tag: str | None = None  # besides the content tag
    push: bool = False
    platforms: tuple[str, ...] = ()
    ca_bundle: Path | None = None
    pip_config: Path | None = None
    no_cache: bool = False


@dataclass(frozen=True)
class Built:
    reference: str
    built: bool  # False: an image of this content was there
    size_bytes: int
    sbom: str  # the file; empty where an image of another platform was only pushed
    duration_s: float


def present(api: Any, reference: str) -> Mapping[str, Any] | None:
    """What the engine says about an image; None when it has none of that name."""
    try:
        with saying(f"look for the image {reference}"):
            found: Mapping[str, Any] = api.inspect_image(reference)
            return found
    except Failed as error:
        if isinstance(error.__cause__, Missing):
            return None
        raise


def schema_of(reference: str) -> tuple[int, int] | None:
    """`Release.schema` of an image by name; None where it is not on the engine, or was built before images told."""
    config = (present(connect(), reference) or {}).get("Config") or {}
    found = re.fullmatch(r"(\d+) (\d+)", (config.get("Labels") or {}).get(names.SCHEMA, ""))
    return (int(found[1]), int(found[2])) if found else None


def build(wanted: Wanted, *, begun: Callable[[str], None]) -> Built:
    """Nothing is built when an image of this content is there; `begun` is told otherwise."""
    started = time.monotonic()
    tree = images.source_tree()
    if tree is None:
        raise Refused("cannot build images: hftctl is installed as a package, and the sources are elsewhere",
                      hint="build in a checkout of the sources, and name the image here with --tag")  # fmt: skip
    reference = images.stack_reference(wanted.images)
    tags = [reference, *([f"{reference.rpartition(':')[0]}:{wanted.tag}"] if wanted.tag else [])]
    api = connect()
    engine = _platform(api)
    # Of another platform an image could not run here, and must not stand under the name of the one that does.
    if foreign := [one for one in wanted.platforms if one != engine]:
        if not wanted.push:
            raise Refused(f"cannot build for {', '.join(foreign)} into this engine, which runs {engine}",
                          hint="send it to a registry: --push REGISTRY")  # fmt: skip
        begun(reference)
        _build(tree, tags, wanted, push=True)
        return Built(reference, True, 0, "", time.monotonic() - started)
    there = None if wanted.no_cache else present(api, reference)
    if there is None:
        begun(reference)
        _build(tree, tags[:1], wanted, push=False)
    for name in tags[1:]:
        with saying(f"tag {reference} as {name}"):
            api.tag(reference, *name.rsplit(":", 1))
    for name in tags if wanted.push else ():
        _push(name)
    size_bytes = int((there or present(api, reference) or {}).get("Size", 0))
    return Built(reference, there is None, size_bytes, _describe(api, reference), time.monotonic() - started)


def _platform(api: Any) -> str:
    with saying("ask the Docker engine for its version"):
        told = api.version()
    return f"{told['Os']}/{told['Arch']}"


def _build(tree: Path, tags: Sequence[str], wanted: Wanted, *, push: bool) -> None:
    from python_on_whales import DockerClient
    from python_on_whales.exceptions import DockerException

    secrets = [
        f"id={name},src={path}"
        for name, path in (("ca_bundle", wanted.ca_bundle), ("pip_config", wanted.pip_config))
        if path is not None
    ]
    arguments = {"BASE_IMAGE": wanted.images["base"], "REVISION": _revision(tree), "SOURCE": _source(tree),
                 "VERSION": __version__, "SCHEMA": "{} {}".format(*schema_range())}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="hftctl-context-") as folder:
        images.stage(tree, Path(folder))
        try:
            DockerClient(host=address()).buildx.build(
                folder,
                file=Path(folder, images.DOCKERFILE),
                build_args=arguments,
                tags=list(tags),
                secrets=secrets,
                cache=not wanted.no_cache,
                platforms=list(wanted.platforms) or None,
                load=not push,
                push=push,
                progress=False,  # what went wrong is told with the error
                provenance=False,  # an attestation would make a second image of every one
            )
        except DockerException as error:
            said = (error.stderr or error.stdout or str(error)).strip().splitlines()[-SAID_LINES:]
            raise Failed(f"cannot build {tags[0]}: " + "\n".join(said)) from error
        except (FileNotFoundError, subprocess.SubprocessError) as error:
            raise NotFound(f"cannot build {tags[0]}: {error}", hint="install docker with its buildx plugin") from error


def _push(reference: str) -> None:
    from python_on_whales import DockerClient
    from python_on_whales.exceptions import DockerException

    try:
        DockerClient(host=address()).image.push(reference, quiet=True)
    except DockerException as error:
        said = (error.stderr or str(error)).strip().splitlines()[-1:]
        raise Failed(f"cannot push {reference}: {''.join(said)}", hint="log in: docker login REGISTRY") from error


def _describe(api: Any, reference: str) -> str:
    """Write what is inside beside the cache of this machine, once per content."""
    path = home() / "cache" / "images" / f"{reference.rpartition('/')[2].replace(':', '-')}.cdx.json"
    if not path.exists():
        make_folder(path.parent)
        write_atomic(path, sbom.of(api, reference))
    return str(path)


def _revision(tree: Path) -> str:
    return _git(tree, "rev-parse", "HEAD") or "unknown"


def _source(tree: Path) -> str:
    return _git(tree, "remote", "get-url", "origin") or "unknown"


def _git(tree: Path, *words: str) -> str:
    try:
        done = run(["git", *words], timeout_s=GIT_TIMEOUT_S, cwd=tree, check=False)
    except NotFound:
        return ""
    return done.stdout.strip() if done.ok else ""


def missing(api: Any, references: Sequence[str]) -> list[str]:
    return [reference for reference in references if present(api, reference) is None]
