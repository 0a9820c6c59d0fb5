"""The host that a command of tuning is about."""

from __future__ import annotations

from pathlib import Path

from hftctl.errors import NotFound
from hftctl.tuning.facts.gather import gather
from hftctl.tuning.facts.model import Facts
from hftctl.tuning.host import Host


def look(root: Path) -> Facts:
    """The facts of the host under `root`."""
    return gather(open_host(root))


def open_host(root: Path) -> Host:
    if not root.is_dir():
        raise NotFound(
            f"there is no folder {root} to take as a host", hint="capture one: hftctl tune facts --capture DIR"
        )
    return Host(root)
