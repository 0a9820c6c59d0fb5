"""Apply, verify and revert on a tree, as a test says it."""

from __future__ import annotations

from pathlib import Path

from hftctl.operations import tune_apply, tune_plan, tune_revert, tune_start
from hftctl.operations.tune_apply import TuneResult
from hftctl.operations.tune_plan import Asked, TunePlan

# What speaks against tuning one of the machines as it is, and a test of tuning wants it tuned nevertheless.
ANYWAY = ("owned-elsewhere", "kubelet-running", "cpu0-isolated")


def asked(
    profile: str = "",
    isolate: str = "",
    only: tuple[str, ...] = (),
    forced: tuple[str, ...] = ANYWAY,
    bind: tuple[str, ...] = (),
) -> Asked:
    return Asked(profile, isolate, only, forced, bind)


def plan(root: Path, profile: str = "", **how: object) -> TunePlan:
    return tune_plan.plan(root, asked(profile, **how))  # type: ignore[arg-type]


def apply(root: Path, profile: str = "", *, boot: bool = False, **how: object) -> TuneResult:
    wanted = asked(profile, **how)  # type: ignore[arg-type]
    return tune_start.start(root, wanted) if boot else tune_apply.apply(root, wanted, confirm=lambda _made: True)


def revert(root: Path, *, forced: tuple[str, ...] = ()) -> TuneResult:
    return tune_revert.revert(root, confirm=lambda _name, _back: True, forced=forced)
