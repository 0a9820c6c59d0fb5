"""PostgreSQL and Valkey away, stopped, full or slow under load: orders go on, reads tell the truth, no row is lost or doubled.

    python -m tests.faults.stores [--seconds 60] [--pile-up 10000000] [--only NAME] [--report docs/reports/stores.md]

Forty clients place and cancel all the time. In each outage, every request must be answered with 2xx (a cancel may find its
order filled: 409), a live order by its id with 200, history with 503 and Retry-After in bounded time, and `hftctl status` must
end with 9 and say what and since when. Afterwards PostgreSQL is compared with the journal row by row. Then PostgreSQL is
stopped until that many rows wait for it. Needs root, for the disk that gets full.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack.persister import watch
from stack.traffic.load_machine import machine
from tests.faults import outages
from tests.faults.clients import Connection, Crowd
from tests.faults.history import Op, Operation
from tests.faults.stack import ROOT, Stack

CLIENTS = 40
CALM_S = 2.0  # of load before and after each outage
ANSWER_S_MAX = 5.0  # for a read while a store is away
GRACE_S = 2.5  # until every answer is as it should be
NOTICED_S = watch.SLOW_S + 1.5 * watch.LOOK_S  # until the persister knows that PostgreSQL does not answer
CATCH_UP_S_MAX = 600.0
ROWS_PER_ORDER = 2.5  # of the feed, about
Fault = Callable[[Stack], AbstractContextManager[Any]]

POSTGRES: dict[str, Fault] = {
    "PostgreSQL killed": lambda stack: outages.killed(stack, "postgres-0"),
    "PostgreSQL stopped": lambda stack: outages.stopped(stack, "postgres-0"),
    "PostgreSQL without connections": outages.no_connections,
    "PostgreSQL's disk full": lambda stack: outages.full_disk(stack.folder / "data" / "postgres-0"),
}
VALKEY: dict[str, Fault] = {
    "Valkey killed": lambda stack: outages.killed(stack, "redis"),
    "Valkey wiped": outages.wiped,
    "Valkey slow": outages.slow,
    "Valkey out of memory": outages.out_of_memory,
}
# Faults that a look at the component cannot see: it answers, and what is wrong with it is for a cache to be wrong.
UNSEEN = ("Valkey wiped", "Valkey slow")


# It still answers reads, and what it has not heard of is read from the event log, as long as that is little.
READABLE = ("PostgreSQL's disk full",)


@dataclass
class Result:
    name: str
    seconds: float
    requests: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    slowest_read_s: float = 0.0
    status: str = ""
    caught_up_s: float = 0.0
    problems: list[str] = field(default_factory=list)


class Run:
    def __init__(self, stack: Stack, crowd: Crowd) -> None:
        self.stack, self.crowd = stack, crowd

    async def outage(self, name: str, fault: AbstractContextManager[Any], seconds: float) -> Result:
        result = Result(name, seconds)
        await asyncio.sleep(CALM_S)
        live = await self._live_order()
        first = len(self.crowd.history)
        await asyncio.to_thread(fault.__enter__)
        try:
            began = time.monotonic()
            status: asyncio.Task[dict[str, Any]] | None = None
            while time.monotonic() - began < seconds:
                after_s = time.monotonic() - began
                await self._read(result, live, due=after_s > GRACE_S)
                if status is None and after_s > max(NOTICED_S, seconds / 2):
                    status = asyncio.create_task(asyncio.to_thread(self.stack.status))
                await asyncio.sleep(0.5)
            if status is not None:
                self._judge_status(result, await status)
        finally:
            await asyncio.to_thread(fault.__exit__, None, None, None)
        ended = time.monotonic()
        await asyncio.to_thread(self._caught_up, result)
        result.caught_up_s = round(time.monotonic() - ended, 1)
        await asyncio.sleep(CALM_S)
        self._judge(result, self.crowd.history[first:])
        return result

    async def _live_order(self) -> str:
        """One that rests far from the market, so that it lives."""
        body = {
            "client_order_id": f"live-{time.monotonic_ns()}", "account": "demo", "symbol": "AAPL", "side": "buy",
            "type": "limit", "price": "1.00", "quantity": "1", "time_in_force": "GTC",
        }  # fmt: skip
        connection = Connection(self.stack.http)
        status, order = await connection.request("POST", "/orders", json.dumps(body).encode())
        connection.close()
        assert status == 201, order
        return str(order["order_id"])

    async def _read(self, result: Result, live: str, *, due: bool) -> None:
        asked = {
            "live order": f"/orders/{live}", "live orders": "/orders?account=demo&live=true",
            "history": "/orders?account=demo", "trades": "/trades/AAPL", "health": "/health",
        }  # fmt: skip
        for what, path in asked.items():
            began = time.monotonic()
            status, retry_after = await asyncio.to_thread(_get, self.stack.http, path)
            took_s = time.monotonic() - began
            result.slowest_read_s = round(max(result.slowest_read_s, took_s), 2)
            result.reads[f"{what} {status}"] = result.reads.get(f"{what} {status}", 0) + 1
            allowed: tuple[int, ...] = (200, 503) if what in ("history", "trades") else (200,)
            if what == "history" and due and result.name in POSTGRES and result.name not in READABLE:
                allowed = (503,)
            if status not in allowed or took_s > ANSWER_S_MAX:
                result.problems.append(f"{what}: {status} after {took_s:.1f} s")
            if status == 503 and not retry_after:
                result.problems.append(f"{what}: 503 without Retry-After")

    def _judge_status(self, result: Result, status: dict[str, Any]) -> None:
        result.status = f"{status.get('state', status.get('code'))}: {status.get('message', '')}"
        if result.name in UNSEEN:
            return
        if status.get("state") != "degraded":
            result.problems.append(f"status says {result.status}")
        if result.name in POSTGRES and not (
            "postgres does not work since" in result.status and "UTC (" in result.status
        ):
            result.problems.append(f"status does not say since when: {result.status}")

    def _judge(self, result: Result, operations: list[Operation]) -> None:
        result.requests = len(operations)
        for operation in operations:
            filled = operation.op is Op.CANCEL and operation.response.get("code") == "order_closed"
            if operation.completed_ns is not None and not 200 <= operation.status < 300 and not filled:
                why = f"{operation.op.name.lower()} {operation.status} {operation.response.get('code', '')}"
                result.failed[why] = result.failed.get(why, 0) + 1
            lost = operation.completed_ns is None and time.monotonic_ns() - operation.invoked_ns > 20_000_000_000
            if lost:
                result.failed["no answer"] = result.failed.get("no answer", 0) + 1
        if result.failed:
            result.problems.append(f"requests failed: {result.failed}")
        if not result.requests:
            result.problems.append("nobody asked anything")

    def _caught_up(self, result: Result) -> None:
        wanted = outages_durable(self.stack)
        deadline = time.monotonic() + CATCH_UP_S_MAX
        while (stands := checkpoint(self.stack)) < wanted:
            if time.monotonic() > deadline:
                result.problems.append(f"PostgreSQL stands at sequence {stands} of {wanted}")
                return
            time.sleep(0.1)

    async def pile_up(self, rows: int) -> tuple[Result, dict[str, float]]:
        """PostgreSQL stopped until so many rows wait; then it comes back."""
        result = Result(f"{rows} rows wait for a stopped PostgreSQL", 0.0)
        first = len(self.crowd.history)
        with outages.stopped(self.stack, "postgres-0"):
            began = time.monotonic()
            before = (await asyncio.to_thread(engine_status, self.stack))["durable_events"]
            while (waiting := (await asyncio.to_thread(engine_status, self.stack))["durable_events"] - before) < rows:
                await self._feed(min(max(1000, int((rows - waiting) / ROWS_PER_ORDER)), 500_000))
            fed_s = time.monotonic() - began
            self._judge_status(result, await asyncio.to_thread(self.stack.status))
        came_back = time.monotonic()
        await asyncio.to_thread(self._caught_up, result)
        took_s = time.monotonic() - came_back
        result.caught_up_s, result.seconds = round(took_s, 1), round(fed_s, 1)
        self._judge(result, self.crowd.history[first:])
        return result, {"rows": waiting, "catch_up_s": round(took_s, 1), "rows_per_s": round(waiting / took_s)}

    async def _feed(self, orders: int) -> None:
        """In a process of its own that gives way: on the loop of the clients it would keep them from reading their answers."""
        socket = str(self.stack.folder / "run" / "engine-0.link.sock")
        words = ["nice", sys.executable, "-m", "tests.faults.feed", socket, str(orders)]
        process = await asyncio.create_subprocess_exec(*words, cwd=ROOT)
        if code := await process.wait():
            raise AssertionError(f"{' '.join(words)}: exit {code}")


def _get(port: int, path: str) -> tuple[int, str | None]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        client.request("GET", path)
        answer = client.getresponse()
        answer.read()
        return answer.status, answer.getheader("Retry-After")
    except OSError:
        return 0, None
    finally:
        client.close()


def engine_status(stack: Stack) -> dict[str, Any]:
    from hftctl.targets.admin import ask

    return dict(ask(stack.folder / "run" / "engine-0.admin.sock", {"command": "status"}, timeout_s=10.0))


def outages_durable(stack: Stack) -> int:
    return int(engine_status(stack)["durable_sequence"])


def checkpoint(stack: Stack) -> int:
    import psycopg

    from tests.faults.evidence import connect

    try:
        with connect(stack) as connection:
            row = connection.execute("SELECT sequence FROM checkpoint WHERE partition = 0").fetchone()
    except psycopg.Error:
        return -1  # not back yet
    return int(row[0]) if row else 0


def compared(stack: Stack) -> dict[str, Any]:
    """PostgreSQL against the journal; the load has ended."""
    done = subprocess.run(
        [
            sys.executable, "-m", "stack.persister.compare", "--config", "../config/engine-0.json",
            "--postgres", "../config/persister-0.json", "--wait-s", "60", "--json",
        ],
        cwd=stack.folder / "run", env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode not in (0, 10) or not done.stdout:
        return {"equal": False, "problems": [f"compare: exit {done.returncode}: {done.stderr[-500:]}"]}
    return dict(json.loads(done.stdout))


async def stores(
    names: list[str], seconds: float, pile_up: int, seed: int, clients: int = CLIENTS, settings: str = ""
) -> tuple[list[Result], dict[str, float], dict[str, Any]]:
    stack = Stack.make(f"stores-{seed}", settings)
    results: list[Result] = []
    rate: dict[str, float] = {}
    with ExitStack() as undo:
        undo.callback(stack.destroy)
        await asyncio.to_thread(stack.deploy)
        if "PostgreSQL's disk full" in names:
            await asyncio.to_thread(undo.enter_context, outages.small_disk(stack))
        crowd = Crowd(stack.http, seed)
        run = Run(stack, crowd)
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.run(clients))
            try:
                for name in names:
                    results.append(await run.outage(name, {**POSTGRES, **VALKEY}[name](stack), seconds))
                    print(f"{name}: {results[-1]}", file=sys.stderr, flush=True)
                if pile_up:
                    result, rate = await run.pile_up(pile_up)
                    results.append(result)
                    print(f"{result.name}: {result} {rate}", file=sys.stderr, flush=True)
            finally:
                crowd.stopping = True
        return results, rate, await asyncio.to_thread(compared, stack)


def report_of(results: list[Result], rate: dict[str, float], equal: dict[str, Any]) -> str:
    good = equal["equal"] and not any(result.problems for result in results)
    return "\n".join([
        "# PostgreSQL and Valkey away under load", "",
        f"{CLIENTS} clients; {json.dumps(machine())}", "",
        f"Verdict: **{'all kept' if good else 'FAILED'}**. PostgreSQL against the journal: {json.dumps(equal)}", "",
        *[f"- {result.name}: {problem}" for result in results for problem in dict.fromkeys(result.problems)], "",
        *([f"{rate['rows']} rows that waited stood after {rate['catch_up_s']} s: {rate['rows_per_s']} rows/s.", ""] if rate else []),
        "| outage | s | requests | failed | reads and their answers | slowest read s | rows caught up after s |",
        "|---|---|---|---|---|---|---|",
        *[
            f"| {r.name} | {r.seconds:g} | {r.requests} | {sum(r.failed.values())} | "
            f"{', '.join(f'{name}: {count}' for name, count in r.reads.items())} | {r.slowest_read_s} | {r.caught_up_s} |"
            for r in results
        ], "", "What `hftctl status` said in the middle of each:", "",
        *[f"- {r.name}: {r.status}" for r in results], "",
    ])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each outage lasts")
    parser.add_argument("--pile-up", type=int, default=10_000_000, help="rows that wait for PostgreSQL in the end")
    parser.add_argument("--only", action="append", choices=[*POSTGRES, *VALKEY], help="this outage; may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    names = options.only or [*POSTGRES, *VALKEY]
    results, rate, equal = asyncio.run(stores(names, options.seconds, options.pile_up, options.seed))
    text = report_of(results, rate, equal)
    if options.report:
        options.report.write_text(text)
    print(text)
    return 0 if equal["equal"] and not any(result.problems for result in results) else 10


if __name__ == "__main__":
    sys.exit(main())
