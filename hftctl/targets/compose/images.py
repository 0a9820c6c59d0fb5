"""Which images a release runs. The tag of our own is a hash of its instructions and everything that goes in: same source, same tag."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hftctl.errors import UsageError
from hftctl.paths import package_folder

STACK = "stack"
SERVERS = ("postgres", "redis", "nginx")
REPOSITORY = "hftctl/stack"
DOCKERFILE = "stack/images/Dockerfile"
TAG_CHARACTERS = 12
# The context of the build. Of the control plane only its version: a new command must not replace a running gateway.
FILES = ("pyproject.toml", "setup.py", "README.md", "hftctl/__init__.py")
FOLDERS = ("engine", "stack")
NOT_INSIDE = ("stack/compose", "stack/manifests")  # how containers and pods are made, which hftctl reads
KINDS = {".py", ".pyi", ".pyx", ".pxd", ".h", ".sql", ".txt", ".yaml", ".md"}


def source_tree() -> Path | None:
    """Where the Dockerfile's context is; None where hftctl is installed as a package."""
    tree = package_folder("stack").parent
    return tree if (tree / "setup.py").is_file() and (tree / DOCKERFILE).is_file() else None


def references(profile: Mapping[str, Any], *, tag: str | None = None) -> dict[str, str]:
    """Image of each part: ours by content, the servers' as the profile names them."""
    wanted = profile["images"]
    return {STACK: stack_reference(wanted, tag=tag), **{server: wanted[server] for server in SERVERS}}


def stack_reference(images: Mapping[str, Any], *, tag: str | None = None) -> str:
    repository = f"{images['registry']}/{REPOSITORY}" if images["registry"] else REPOSITORY
    if tag is None:
        tree = source_tree()
        if tree is None:
            raise UsageError(
                "cannot tell which image to run: this hftctl is no source tree, so nothing can be built here",
                hint="name one that was built and pushed: --tag TAG",
            )
        tag = content_tag(tree, images["base"])
    return f"{repository}:{tag}"


def context(tree: Path) -> Iterator[tuple[str, Path]]:
    """Every file that the build sees, by its name there, sorted."""
    found = {name: tree / name for name in FILES}
    for folder in FOLDERS:
        for path in (tree / folder).rglob("*"):
            name = path.relative_to(tree).as_posix()
            inside = not any(name.startswith(f"{one}/") for one in NOT_INSIDE)
            if path.is_file() and inside and (path.suffix in KINDS or path.name == "Dockerfile"):
                found[name] = path
    yield from sorted(found.items())


@functools.cache
def content_tag(tree: Path, base: str) -> str:
    """Modes are those that `stage` gives, so that a checkout's umask makes no other image."""
    digest = hashlib.sha256(json.dumps(["hftctl-stack", 1, base]).encode())
    for name, path in context(tree):
        content = path.read_bytes()
        digest.update(f"{len(name)} {name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:TAG_CHARACTERS]


def stage(tree: Path, folder: Path) -> None:
    """Copy the context, and nothing else, with modes and times that are the same everywhere."""
    for name, path in context(tree):
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
        place.chmod(0o644)
        os.utime(place, (0, 0))  # older than what was compiled from it
