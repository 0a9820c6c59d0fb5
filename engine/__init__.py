"""The matching engine: a deterministic state machine from journal records to events.

It does no I/O, reads no clock and draws no random number: sequence and time arrive with each command, so a replay of the
journal gives the same bytes every time. `create()` picks the compiled implementation, or the plain-Python one that is
also its specification.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from engine import reference
from engine.api import MatchingEngine

__all__ = ["create", "implementations"]

Implementation = Literal["auto", "cython", "python"]


def implementations() -> dict[str, str]:
    """Which implementations there are: each name with "" if it can run, else with the reason why it can't."""
    return {"cython": _load_cython()[1], "python": ""}


def create(
    implementation: Implementation = "auto", *, max_live_orders: int, client_ids_max: int, faulted_in: bool = True
) -> MatchingEngine:
    """Its `implementation` property says which one it is. Raises RuntimeError when 'cython' was asked for and can't load.

    `faulted_in`: the compiled engine's tables are laid out for its `fault_in()`, which takes all their memory, so that no
    order waits for the kernel later.
    """
    if implementation not in ("auto", "cython", "python"):
        raise ValueError(f"engine implementation {implementation!r} is none of auto, cython, python")
    if implementation != "python":
        compiled, why_not = _load_cython()
        if compiled is not None:
            return compiled(max_live_orders=max_live_orders, client_ids_max=client_ids_max, faulted_in=faulted_in)
        if implementation == "cython":
            raise RuntimeError(f"the compiled engine cannot be loaded: {why_not}")
    return reference.Engine(max_live_orders=max_live_orders, client_ids_max=client_ids_max)


def _load_cython() -> tuple[Callable[..., MatchingEngine] | None, str]:
    try:
        from engine.matching import Engine
    except ImportError as error:
        return None, str(error)
    return Engine, ""
