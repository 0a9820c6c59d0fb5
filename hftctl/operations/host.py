"""What is asked of and done to a host."""

from __future__ import annotations

from pathlib import Path

from hftctl.errors import NotFound, Refused
from hftctl.tuning.facts.gather import gather
from hftctl.tuning.facts.model import Facts
from hftctl.tuning.host import Host, capture


def look(root: Path, *, capture_to: Path | None = None) -> Facts:
    """The facts of the host under `root`; with `capture_to` all files they come from are written there as a tree."""
    host = open_host(root)
    host.captured = {} if capture_to is not None else None
    found = gather(host)
    if capture_to is not None:
        try:
            capture(host, capture_to)
        except OSError as error:
            raise Refused(
                f"cannot write the capture to {capture_to}: {error.strerror}", hint="choose another folder"
            ) from error
    return found


def open_host(root: Path) -> Host:
    if not root.is_dir():
        raise NotFound(
            f"there is no folder {root} to take as a host", hint="capture one: hftctl tune facts --capture DIR"
        )
    return Host(root)
