"""Clocks that jump: an engine's alone (libfaketime), then that of a whole stack, as a step of the host's clock does (the shim).

Everything in the stack sees the jump: supervisor, PostgreSQL, Valkey, nginx, engine, gateway, persister, hftctl and its load test. Orders
must go on through every jump; recorded time never goes back: after a jump back it stands until the clock has caught up.
The persister writes each event into the table of its recorded day, and has a table ready at midnight, whichever day it becomes.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults import shim
from tests.faults.evidence import connect
from tests.faults.history import Result, Truth, check
from tests.faults.lone_engine import LoneCrowd, LoneEngine
from tests.faults.power import replayed
from tests.faults.scene import CLIENTS, Case, Scene, answered, play
from tests.faults.stack import Stack

FAKETIME = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketimeMT.so.1"
JUMPS = {"+1h": 3600, "-1h": -3600, "+1d": 86400, "+0": 0}
DAY_S = 86400
LAG_S_MAX = 30.0
LOAD_IDS = "l[0-9a-f]{12}-"  # of `hftctl load`


def missing() -> str:
    """What is not installed; empty where everything is."""
    return shim.missing() or ("" if FAKETIME.exists() else "faketime is not installed")


async def clocks(jump_s: float) -> list[Case]:
    """An engine by itself: it is the only one that records times."""
    cases = []
    with tempfile.TemporaryDirectory(prefix="clocks-") as home:
        lone = LoneEngine(Path(home))
        clock = Path(home) / "clock"
        clock.write_text("+0")
        lone.start(
            {
                "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        )  # fmt: skip
        async with lone.link() as link:
            if not await lone.connected(link):
                return [Case("clocks", problems=[f"the engine did not start: {lone.said()[-1:]}"])]
            crowd = LoneCrowd(lone, link, 1)
            running = asyncio.ensure_future(crowd.run(CLIENTS))
            ahead_s = 0
            for to, seconds in JUMPS.items():
                case = Case(f"clock of the engine {to}")
                cases.append(case)
                clock.write_text(to)
                began = len(crowd.history)
                await asyncio.sleep(jump_s)
                case.statuses = answered(crowd.history[began:])
                ahead_s = max(ahead_s, seconds)
                newest = max(int(o.response["created_ns"]) for o in crowd.history[began:] if o.status == 201)
                case.facts["recorded_ahead_s"] = round(newest / 1e9 - time.time())
                if not ahead_s - 60 < case.facts["recorded_ahead_s"] < ahead_s + 60:
                    case.problems.append(
                        f"clock {to}: recorded {case.facts['recorded_ahead_s']} s ahead, {ahead_s} were due"
                    )
                if set(case.statuses) - {"200", "201", "409", "no answer"}:
                    case.problems.append(f"clock {to}: {dict(case.statuses)}")
            crowd.stopping = True
            await running
        if code := lone.end():
            cases[-1].problems.append(f"the engine ended with {code}")
        events, _ = replayed(lone.data / "journal")
    told = sum(o.result is Result.OK for o in crowd.history)
    broken = check(crowd.history, Truth.of(0, events)).broken[:5]  # a time that goes back is among what it looks for
    return [*cases, Case("afterwards", facts={"acknowledged": told, "events": len(events)}, problems=broken)]


# ---- a whole stack


def jumps_of_a_stack() -> dict[str, int]:
    """What the clock says more than the real one, in seconds; the third comes to a midnight five seconds later."""
    now = datetime.now(UTC)
    midnight_s = DAY_S - (now.hour * 3600 + now.minute * 60 + now.second) - 5
    return {
        "an hour ahead": 3600,
        "two hours back": -3600,
        "five seconds before midnight": midnight_s,
        "three days ahead": 3 * DAY_S,
        "six days back": -3 * DAY_S,
        "right again": 0,
    }


async def clocks_of_a_stack(jump_s: float, only: tuple[str, ...] = ()) -> list[Case]:
    """Each jump holds for `jump_s` at least, and past the midnight; `only` names jumps, none: all, and `hftctl load` over three."""
    stack = Stack.make("clocks")
    clock = shim.Clock(stack.folder)
    stack.environment |= clock.environment
    ahead_s = 0

    async def acts(scene: Scene) -> None:
        nonlocal ahead_s
        jumps = jumps_of_a_stack()
        for what in only or jumps:
            seconds = jumps[what]
            ahead_s = max(ahead_s, seconds)
            began = len(scene.crowd.history)

            async def jump(case: Case, seconds: int = seconds) -> None:
                clock.set(seconds)
                await asyncio.sleep(max(jump_s, 8.0))  # a midnight is five seconds away

            await scene.during(f"clock of the stack {what}", jump)
            await _look(scene, scene.cases[-1], began, ahead_s)

        async def load(case: Case) -> None:
            loading = asyncio.ensure_future(_load(stack, case))
            for seconds in (3600, -DAY_S, 0):
                await asyncio.sleep(4)
                clock.set(seconds)
            await loading

        await scene.during("hftctl load over three jumps", load)

    try:
        return await play(stack, 5, acts, 0.02, others=LOAD_IDS)
    finally:
        clock.close()


async def _look(scene: Scene, case: Case, began: int, ahead_s: int) -> None:
    told = scene.crowd.history[began:]
    if strange := {text for text in case.statuses if text.split()[0] not in ("200", "201", "409")}:
        case.problems.append(f"{case.fault}: answered {sorted(strange)}")
    newest = max((int(o.response["created_ns"]) for o in told if o.status == 201), default=0)
    recorded_s = round(newest / 1e9 - time.time())
    case.facts["recorded_ahead_s"] = recorded_s
    if abs(recorded_s - ahead_s) > 120:
        case.problems.append(f"{case.fault}: recorded {recorded_s} s ahead, {ahead_s} were due")
    status = await asyncio.to_thread(scene.stack.status)
    case.facts["state"] = status["state"]
    if status["state"] != "ready":
        case.problems.append(f"{case.fault}: status says {status['state']}: {status['message']}")
    case.facts |= await asyncio.to_thread(_rows, scene.stack, newest, case)


def _rows(stack: Stack, newest_ns: int, case: Case) -> dict[str, object]:
    """Waits until PostgreSQL has what was recorded at `newest_ns`."""
    started = time.monotonic()
    with connect(stack) as connection:
        while True:
            (stands_ns,) = connection.execute("SELECT time_ns FROM checkpoint WHERE partition = 0").fetchone() or (0,)
            if stands_ns >= newest_ns:
                break
            connection.rollback()
            if time.monotonic() - started > LAG_S_MAX:
                case.problems.append(f"{case.fault}: PostgreSQL stands {(newest_ns - stands_ns) / 1e9:.0f} s behind")
                break
            time.sleep(0.1)
        days = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^events_[0-9]{8}$'"
        ).fetchone()
    return {"rows_after_s": round(time.monotonic() - started, 1), "day_tables": days[0] if days else 0}


async def _load(stack: Stack, case: Case) -> None:
    report: dict[str, Any] = await asyncio.to_thread(
        stack.command, "load", "-p", stack.name, "--clients", "4", "--duration", "16s", expect=(0, 8, 9, 10)
    )
    took_s = report["succeeded"] / max(report["achieved_per_s"], 1e-9)
    case.facts |= {
        "succeeded": report["succeeded"],
        "success_percent": report["success_percent"],
        "took_s": round(took_s, 1),
    }
    case.facts["latency_ms"] = json.dumps(report["latency_ms"])
    if report["success_percent"] < 100 or not 14 < took_s < 30:
        case.problems.append(
            f"hftctl load over jumps: {report['success_percent']} % in {took_s:.1f} s, 16 s were asked for"
        )
