"""Fixed data, and what a terminal of a given width gets of it. `python " "-m tests.golden.screens` writes the files anew."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from hftctl.cli.main import run
from hftctl.errors import LockHeld, TimedOut
from hftctl.operations.compare import Comparison, FileDifference, KeyDifference, VersionDifference
from hftctl.operations.drain import DrainResult
from hftctl.operations.drained import PartitionDrain
from hftctl.operations.drift import DriftReport
from hftctl.operations.events import Timeline
from hftctl.operations.interrupted import RolloutStatus
from hftctl.operations.status import History, PartitionStatus, StatusReport
from hftctl.plan.change import Change, Op, Plan
from hftctl.plan.journal import Rollout
from hftctl.plan.saved import SavedPlan
from hftctl.release import Release, Revision
from hftctl.targets.base import ComponentStatus, Drift, Event, Finding

FOLDER = Path(__file__).parent
WIDTHS = (80, 200)
NOW_NS = 1_767_323_045_000_000_000  # 2026-01-02 03:04:05 UTC
SECOND_NS = 1_000_000_000

RELEASE = Release(
    "paper", "local", "staging", {"order_entry": "engine", "partitions": [{}]}, {"engine": "e" * 64, "stack": "f" * 64}
)
CHANGES = (
    Change(
        "gateway-1", Op.UPDATE, {}, {}, "setting max_unacknowledged 4096 -> 8192, setting timeout_s 5.0 -> 2.5, program"
    ),
    Change("gateway-2", Op.CREATE, None, {}, "not there"),
    Change("persister-0", Op.RESTART, {}, {}, "asked for"),
    Change("gateway-3", Op.DELETE, {}, None, "not wanted any more"),
)
REVISIONS = tuple(
    Revision(number, RELEASE, NOW_NS - (9 - number) * 3600 * SECOND_NS, "ana@desk3", why, f"{number:016x}")
    for number, why in ((1, "first"), (2, "more gateways for the opening auction, until the new machine has come in"))
)
ROLLOUTS = tuple(
    Rollout(
        f"{number:016x}",
        verb,
        "ana@desk3",
        "",
        NOW_NS - (9 - number) * 60 * SECOND_NS,
        1,
        "a" * 64,
        CHANGES,
        {},
        intents={0, 1, 2},
        outcomes={0: "", 1: said} if said else {0: ""},
        result=result,
        message=said,
    )
    for number, verb, result, said in (
        (1, "deploy", "ready", ""),
        (
            2,
            "scale",
            "reverted",
            "gateway-2 exited with code 1 before it was ready: address 127.0.0.1:8101 is already in use by pid 4711",
        ),
        (3, "restart", "", ""),
    )
)
STATUS = StatusReport(
    "paper",
    "local",
    "staging",
    "degraded",
    "gateway-2 is not running: exited with code 1 three times in a row, the next try comes in 8 s",
    "http://127.0.0.1:8080",
    REVISIONS[1],
    (
        ComponentStatus(
            "postgres-0", "running", True, "accepts connections", 4242, NOW_NS - 90 * SECOND_NS, 0, 61 << 20
        ),
        ComponentStatus(
            "engine-0",
            "running",
            True,
            "takes orders, durable up to sequence 3112",
            4243,
            NOW_NS - 8000 * SECOND_NS,
            0,
            402 << 20,
        ),
        ComponentStatus(
            "gateway-1", "running", False, "waits for the engine", 4244, NOW_NS - 3 * SECOND_NS, 2, 88 << 20
        ),
        ComponentStatus(
            "gateway-2",
            "failed",
            False,
            "exited with code 1: address 127.0.0.1:8101 is already in use by pid 4711",
            None,
            None,
            3,
        ),
        ComponentStatus("nginx", "missing", False, "not there"),
    ),
    (
        PartitionStatus(
            0,
            {
                "implementation": "cython",
                "halted": True,
                "sequence": 3112,
                "durable_sequence": 3112,
                "live_orders": 128,
                "trades": 77,
                "unacknowledged": 0,
                "repeats": 1,
                "busy": 0.031,
                "sync_s": 0.00042,
            },
        ),
        PartitionStatus(1, {}, "the engine does not answer within 2 s"),
    ),
    None,
    (
        Finding(
            "warning",
            "persister-0",
            "is 1200000 events behind, and orders do not wait for it: history answers 503 for what is missing",
            "hftctl logs persister --since 5m -p paper",
        ),
    ),
    hint="hftctl start -p paper",
)
EVENTS = (
    Event(NOW_NS - 5 * SECOND_NS, "started", "gateway-1", "pid 4244 started", "supervisor"),
    Event(
        NOW_NS - 4 * SECOND_NS,
        "died",
        "gateway-1",
        "pid 4244 died: signal 9 (SIGKILL) after 12 min; started again at "
        "once, for the third time within the last minute",
        "supervisor",
    ),
    Event(
        NOW_NS - 3 * SECOND_NS,
        "exec",
        "postgres-0",
        "psql -c 'SELECT count(*) FROM events WHERE partition = 0 AND sequence > 100000'",
        "ana@desk3",
    ),
    Event(
        NOW_NS - 2 * SECOND_NS,
        "halt-failed",
        "hftctl",
        "partition 1 did not answer: it may still take orders",
        "ana@desk3",
    ),
    Event(NOW_NS - 1 * SECOND_NS, "ready", "hftctl", "rollout 0000000000000002 (scale) is ready", "ana@desk3"),
)
DIFFERENCES = Comparison(
    "paper",
    "revision 1",
    "revision 2",
    (
        KeyDifference("gateways", 2, 4, "/home/ana/profiles/paper.yaml:7"),
        KeyDifference("engine.max_live_orders", 4096, None, ""),
        KeyDifference(
            "instruments",
            [{"symbol": f"SYM{n}", "tick_size": "0.01", "lot_size": "1"} for n in range(9)],
            [],
            "/home/ana/profiles/paper.yaml:12",
        ),
    ),
    (VersionDifference("engine", "e" * 12, "d" * 12),),
    (
        FileDifference(
            "nginx",
            "config/nginx.conf",
            (
                "--- revision 1",
                "+++ revision 2",
                "@@ -1,2 +1,2 @@",
                " events {}",
                "-worker_processes 1;",
                "+worker_processes 2;",
            ),
        ),
    ),
)
DRIFT = DriftReport(
    "paper",
    2,
    (
        Drift(
            "nginx",
            "file",
            "config/nginx.conf was changed by hand since revision 2 was recorded, and nginx runs what stands in it",
            "hftctl start -p paper --yes",
            ("-worker_processes 2;", "+worker_processes 9;"),
        ),
        Drift(
            "postgres-0", "setting", "synchronous_commit is on, revision 2 has off", "hftctl restart postgres -p paper"
        ),
    ),
)
ROLLOUT_STATUS = RolloutStatus(
    "paper",
    "local",
    "interrupted",
    "the restart that ana@desk3 began at 03:01:05 was stopped by SIGINT after 1 of 4 changes",
    ROLLOUTS[2],
    "",
    "go on: hftctl rollout continue -p paper; or back to what stood before: hftctl rollout abort -p paper",
)
BEHIND = "PostgreSQL has commands up to 3000000 of 3112000"
DRAIN = DrainResult(
    "paper",
    "local",
    "unfinished",
    "new kernel",
    (
        PartitionDrain(0, 512, 3, 128, True, 512, 777, 512, 20_480),
        PartitionDrain(1, 3_112_000, 0, 99_000, True, 3_000_000, 4_100_000, 3_112_000, 31_457_280, (BEHIND,)),
    ),
    301.5,
    TimedOut(
        "cannot drain 'paper': nothing got further for 300 s. New orders are refused, cancels pass; left: partition 1: "
        + BEHIND,
        hint="mend what is named: hftctl status -p paper; go on: hftctl drain -p paper; "
        "or take orders again: hftctl resume -p paper --why TEXT",
    ),
)
HELD = LockHeld(
    "cannot deploy 'paper' to local: the lock is held by ana@desk3, pid 4711, since 03:02:05 (scale gateway=4)",
    hint="wait for it: hftctl deploy paper --lock-wait 60",
)

# name of the file -> command line, what stands in for reading a deployment, and what it finds
SCREENS = {
    "status": (["status"], "hftctl.operations.status.status", STATUS),
    "history": (["history"], "hftctl.operations.status.history", History("paper", "local", REVISIONS, ROLLOUTS)),
    "plan": (["plan"], "hftctl.operations.deploy.plan", SavedPlan(RELEASE, {}, Plan(CHANGES), NOW_NS)),
    "events": (["events"], "hftctl.operations.events.events", Timeline("paper", (), iter(()))),
    "drift": (["drift"], "hftctl.operations.drift.drift", DRIFT),
    "diff": (["diff", "1", "2"], "hftctl.operations.compare.compare", DIFFERENCES),
    "rollout-status": (["rollout", "status"], "hftctl.operations.interrupted.rollout_status", ROLLOUT_STATUS),
    "drain": (["drain", "--yes"], "hftctl.operations.drain.drain", DRAIN),
    "error": (["deploy", "--yes"], "hftctl.operations.deploy.deploy", HELD),
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def _world(width: int, colours: bool) -> Iterator[None]:
    wanted = {"COLUMNS": str(width), "TERM": "xterm", "TZ": "UTC", "NO_COLOR": "" if colours else "1"}
    with ExitStack() as stack:
        stack.callback(time.tzset)
        stack.enter_context(patch.dict(os.environ, wanted))
        stack.enter_context(patch("time.time_ns", lambda: NOW_NS))
        time.tzset()
        yield


def screen(name: str, width: int, *, colours: bool = False) -> str:
    """Both streams as one terminal shows them, and how it ended."""
    words, where, found = SCREENS[name]
    if isinstance(found, Timeline):
        found = Timeline(found.deployment, found.components, iter(EVENTS))
    answer = {"side_effect": found} if isinstance(found, Exception) else {"return_value": found}
    shown = Terminal()
    with _world(width, colours), patch(where, **answer), redirect_stdout(shown), redirect_stderr(shown):
        code = run(words)
    return f"$ hftctl {' '.join(words)}\n{shown.getvalue()}(exit {code})\n"


def file(name: str, width: int) -> Path:
    return FOLDER / f"{name}-{width}.txt"


if __name__ == "__main__":
    for name in SCREENS:
        for width in WIDTHS:
            file(name, width).write_text(screen(name, width))
