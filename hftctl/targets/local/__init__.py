"""This machine as a target: processes under our own supervisor, servers from wheels, nothing of the system changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hftctl.targets.local.driver import LocalTarget as LocalTarget


def __getattr__(name: str) -> Any:
    """`LocalTarget` comes late, so that the supervisor, which stands in this package too, starts without the driver."""
    if name == "LocalTarget":
        from hftctl.targets.local.driver import LocalTarget

        return LocalTarget
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
