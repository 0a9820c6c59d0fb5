"""Where profiles lie: a path that is given, ./profiles, the user's folder, the folder shipped with hftctl."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from hftctl import paths
from hftctl.errors import UsageError


def folders() -> list[Path]:
    """First wins."""
    found: list[Path] = []
    for folder in (Path("profiles"), paths.config_home() / "profiles", paths.package_folder("profiles")):
        if folder.is_dir() and not any(folder.samefile(other) for other in found):
            found.append(folder)
    return found


def listed() -> Iterator[tuple[str, Path]]:
    """Name and file of every profile that can be meant by its name."""
    seen: set[str] = set()
    for folder in folders():
        for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem):
            if path.stem not in seen:
                seen.add(path.stem)
                yield path.stem, path


def is_path(given: str) -> bool:
    return "/" in given or given.endswith((".yaml", ".yml"))


def find(given: str) -> Path:
    """The file of a profile given by name or by path."""
    if is_path(given):
        path = Path(given)
        if not os.path.lexists(path):
            raise UsageError(f"no profile at {given}", hint="list the profiles: hftctl profile list")
        return path
    for folder in folders():
        path = folder / f"{given}.yaml"
        if os.path.lexists(path):
            return path
    names = ", ".join(name for name, _ in listed())
    raise UsageError(
        f"no profile is named '{given}'; there are: {names}", hint="list the profiles: hftctl profile list"
    )


def find_beside(name: str, user: Path) -> Path | None:
    """A base or a layer that `user` names: its own folder first, then the usual ones; never itself."""
    for candidate in (user.parent, *folders()):
        path = candidate / f"{name}.yaml"
        if os.path.lexists(path) and os.path.realpath(path) != os.path.realpath(user):
            return path
    return None


def summary(path: Path) -> str:
    """Who a profile is for: the first sentence of the comment it opens with."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            lines = [line for _, line in zip(range(10), stream, strict=False)]
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    opening = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(line.lstrip("# ").strip() for line in opening).partition(". ")[0].rstrip(".")
