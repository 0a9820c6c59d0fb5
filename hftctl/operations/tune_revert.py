"""Back to what stood on a host before hftctl, byte for byte, by a rollout of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hftctl.errors import Refused, UsageError
from hftctl.operations.host import open_host
from hftctl.operations.rollout import actor
from hftctl.operations.terms import Report, silent
from hftctl.operations.tune_apply import TuneResult, begin, execution, need_rights, run_changes
from hftctl.plan.change import Plan
from hftctl.plan.interrupts import Interrupts
from hftctl.targets.flock import hold
from hftctl.tuning.actuator import HostActuator
from hftctl.tuning.boot.wishes import by_hand
from hftctl.tuning.facts.boot import boot
from hftctl.tuning.host import Host
from hftctl.tuning.state import HostState
from hftctl.tuning.taking_back import TakingBack, taking_back

FORCIBLE = "foreign-edit"


def revert(
    root: Path,
    *,
    confirm: Callable[[str, TakingBack], bool],
    forced: tuple[str, ...] = (),
    progress: Report = silent,
    lock_wait_s: float = 0.0,
    dry_run: bool = False,
) -> TuneResult:
    """Three ways: what we wrote goes back, what is back already stays, what somebody else wrote since is told and left."""
    started = time.monotonic()
    if wrong := [code for code in forced if code != FORCIBLE]:
        raise UsageError(f"a revert can be forced over {FORCIBLE} only, not {wrong[0]}")
    host = open_host(root)
    state = HostState(host)
    name = host.read("/proc/sys/kernel/hostname") or "this host"
    back = _look(host, state, forced)
    if not state.ledger.origins and state.applied is None and state.journal.unsettled() is None:
        return TuneResult("revert", name, "unchanged", Plan(()), cause="nothing of hftctl stands on this host")
    if dry_run:
        return TuneResult("revert", name, "planned", Plan(back.changes), left=back.conflicts)
    need_rights(host)
    if not confirm(name, back):
        raise Refused("tune revert was declined; nothing was changed")
    with hold(state.lock, deployment=f"the tuning of {name}", holder=actor(), why="tune revert", wait_s=lock_wait_s):
        state = HostState(host)
        again = _look(host, state, forced)
        if (again.changes, again.conflicts) != (back.changes, back.conflicts) and not confirm(name, again):
            raise Refused("tune revert was declined; nothing was changed")
        return _revert(state, name, again, progress, started)


def _look(host: Host, state: HostState, forced: tuple[str, ...]) -> TakingBack:
    boot_id = host.read("/proc/sys/kernel/random/boot_id") or ""
    return taking_back(state, boot_id, boot(host).entries, force=FORCIBLE in forced)


def _revert(state: HostState, name: str, back: TakingBack, progress: Report, started: float) -> TuneResult:
    before = state.journal.unsettled()
    touched = before.touched if before is not None else ()
    subjects = [change.subject for change in back.changes]
    actuator = HostActuator(state.host, [*subjects, *touched], state.ours)
    actuator.settle([*touched, *state.ledger.origins])
    arguments = state.applied.arguments if state.applied is not None else ()
    rollout = begin(state, "revert", "back to what stood before hftctl", back.changes)
    with Interrupts() as interrupts:
        failure = run_changes(
            state, execution(state, actuator, rollout, progress, interrupts), "revert", name, interrupts
        )
    plan = Plan(back.changes)
    if failure is not None:
        state.journal.end("failed", failure.cause)
        left = (f"{len(rollout.outcomes)} of {len(rollout.changes)} places are back",)
        return TuneResult(
            "revert", name, "failed", plan, cause=failure.cause, left=left, duration_s=time.monotonic() - started
        )
    state.ledger.forget([*subjects, *back.done])
    state.forget_applied()
    state.journal.end("ready")
    running = (state.host.read("/proc/cmdline") or "").split()
    reboot = tuple(word for word in arguments if word in running)
    return TuneResult(
        "revert", name, "failed" if back.conflicts else "ready", plan,
        left=back.conflicts, reboot=reboot, before_reboot=by_hand(boot(state.host), reboot),
        duration_s=time.monotonic() - started,
    )  # fmt: skip
