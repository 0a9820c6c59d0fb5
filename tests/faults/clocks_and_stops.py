"""Clocks that jump, processes that stand still, a slow disk and no file descriptors left, under load: what a client sees then.

    python -m tests.faults.clocks_and_stops [--stop-s 30] [--only CASE] [--report FILE]

clocks   an engine runs under libfaketime while the clock goes an hour on, back, and a day on: every order is answered, and
         recorded time never goes back; then a whole stack, hftctl and a load test with it: clocks.py
stops    SIGSTOP of each process for a while: requests wait or are told to (429, 503, 504), none is answered wrongly, memory
         stays bounded, and afterwards everything goes on
slow     every sync takes 50 ms: orders go on, health answers, and beyond max_unacknowledged there is 429 with Retry-After
files    a component may open only a few more files: new connections wait, those that stand are served, none of them spins

After each case the history checker compares what the clients were told with the journal, the rows and the books.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from tests.faults import shim
from tests.faults.clients import Connection
from tests.faults.clocks import clocks, clocks_of_a_stack, missing
from tests.faults.conditions import Conditions
from tests.faults.scene import CLIENTS, Case, Scene, play
from tests.faults.stack import Stack

STOPPED = ("engine-0", "gateway-1", "persister-0", "postgres-0", "redis", "nginx", "supervisor")


# ---- processes that stand still


async def stops(stop_s: float, names: tuple[str, ...] = STOPPED) -> list[Case]:
    async def acts(scene: Scene) -> None:
        for name in names:

            async def stop(case: Case, name: str = name) -> None:
                pids = await asyncio.to_thread(scene.stack.pids)
                before = {one: _resident_kib(pid) for one, pid in pids.items()}
                halted = _family(name, pids[name])
                for pid in halted:
                    os.kill(pid, signal.SIGSTOP)
                try:
                    await asyncio.sleep(stop_s)
                    grown = {one: _resident_kib(pid) - before[one] for one, pid in pids.items()}
                finally:
                    for pid in halted:
                        os.kill(pid, signal.SIGCONT)
                case.facts["grown_mib_max"] = round(max(grown.values()) / 1024)
                if case.facts["grown_mib_max"] > GROWN_MIB_MAX:
                    case.problems.append(f"{name} stopped: memory grew by {grown} KiB")

            await scene.during(f"{name} stopped for {stop_s:g} s", stop)

    return await play(Stack.make("stops"), 2, acts, STOPS_PAUSE_S)


GROWN_MIB_MAX = 256
STOPS_PAUSE_S = 0.1  # minutes at full speed would be hours for the history checker


def _family(name: str, pid: int) -> list[int]:
    """A server and its workers; of the supervisor nobody else, for all are its children."""
    children = [] if name == "supervisor" else psutil.Process(pid).children(recursive=True)
    return [pid, *(child.pid for child in children)]


def _resident_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:")), 0)


# ---- a slow disk, and no files left


async def slow(slow_s: float) -> list[Case]:
    stack = Stack.make("slow", "engine:\n  max_unacknowledged: 4\n")
    disk = shim.SlowDisk(stack.folder / "data" / "partition-0")
    stack.environment |= disk.environment

    async def acts(scene: Scene) -> None:
        async def crawl(case: Case) -> None:
            disk.sync_us = 50_000
            connection, health = Connection(stack.http), Counter[int]()
            until = time.monotonic() + slow_s
            while time.monotonic() < until:
                health[(await connection.request("GET", "/health"))[0]] += 1
                await asyncio.sleep(0.1)
            connection.close()
            disk.sync_us = 0
            case.facts["health"] = dict(health)
            if set(health) != {200}:
                case.problems.append(f"health answered {dict(health)} on a slow disk")

        await scene.during("every sync takes 50 ms, max_unacknowledged 4", crawl)
        told = scene.cases[-1].statuses
        if not told["429 busy"] or not told["201"]:
            scene.cases[-1].problems.append(f"a slow disk gave {dict(told)}: neither 201 nor 429 may be missing")

    try:
        return await play(stack, 3, acts)
    finally:
        disk.close()


async def files(hold_s: float, names: tuple[str, ...] = ("engine-0", "gateway-1", "nginx")) -> list[Case]:
    async def acts(scene: Scene) -> None:
        for name in names:

            async def exhaust(case: Case, name: str = name) -> None:
                family = _family(name, (await asyncio.to_thread(scene.stack.pids))[name])
                before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in family}
                for pid, (_, most) in before.items():
                    open_now = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now + 2, most))
                connections = []
                try:
                    for _ in range(20):
                        connections.append(await _connect(scene.stack, name))
                    busy_s = sum(map(_processor_s, family))
                    served = sum(o.status in (200, 201) for o in scene.crowd.history)
                    await asyncio.sleep(hold_s)
                    case.facts["processor_share"] = round((sum(map(_processor_s, family)) - busy_s) / hold_s, 2)
                    case.facts["served"] = sum(o.status in (200, 201) for o in scene.crowd.history) - served
                finally:
                    for pid, limits in before.items():
                        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
                    for _, writer in connections:
                        writer.close()
                if not case.facts["served"]:
                    case.problems.append(f"{name} without files: connections that stood were not served")
                if case.facts["processor_share"] > 0.8:
                    case.problems.append(f"{name} without files: it spins, {case.facts['processor_share']} processors")

            await scene.during(f"{name} may open two more files, and twenty want in", exhaust)

    return await play(Stack.make("files"), 4, acts, 0.02)


async def _connect(stack: Stack, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if name == "nginx":
        return await asyncio.open_connection("127.0.0.1", stack.http)
    socket = {"engine-0": "engine-0.link.sock", "gateway-1": "gateway-1.sock"}[name]
    return await asyncio.open_unix_connection(str(stack.folder / "run" / socket))


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- all of it

CASES: dict[str, Callable[[float], Awaitable[list[Case]]]] = {
    "clocks": clocks,
    "clocks of a stack": clocks_of_a_stack,
    "stops": stops,
    "slow": slow,
    "files": files,
}


def report_of(cases: dict[str, list[Case]], stop_s: float, conditions: Conditions) -> str:
    problems = [f"{part}: {text}" for part, list_ in cases.items() for case in list_ for text in case.problems]
    lines = [
        "# Clocks that jump, processes that stand still", "",
        f"Each fault lasted {stop_s:g} s, under {CLIENTS} clients. Answers are those of requests sent while it lasted and until orders"
        " were acknowledged again; the last line of each part is the history checker's.", "", conditions.line(), "",
        f"Verdict: **{'valid' if not problems else 'FAILED'}**.", "", *[f"- {text}" for text in problems[:20]], "",
        "| part | fault | answers | facts |", "|---|---|---|---|",
        *[
            f"| {part} | {case.fault} | {', '.join(f'{n} x {what}' for what, n in sorted(case.statuses.items()))} |"
            f" {', '.join(f'{name} {value}' for name, value in case.facts.items())} |"
            for part, list_ in cases.items() for case in list_
        ], "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stop-s", type=float, default=30.0, help="how long each fault lasts")
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    if why := missing():
        print(f"cannot run: {why}", file=sys.stderr)
        return 13
    conditions = Conditions()
    cases = {name: asyncio.run(act(options.stop_s)) for name, act in CASES.items() if options.only in (None, name)}
    text = report_of(cases, options.stop_s, conditions)
    if options.report:
        options.report.write_text(text)
    print(text)
    return 10 if any(case.problems for list_ in cases.values() for case in list_) else 0


if __name__ == "__main__":
    sys.exit(main())
