"""A stack under a crowd, and faults that happen to it one after the other: what was answered, and what stood afterwards."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.faults.clients import Crowd
from tests.faults.evidence import gather
from tests.faults.history import Operation, Result, check
from tests.faults.stack import Stack

CLIENTS = 12
SETTLE_S_MAX = 60.0


@dataclass
class Case:
    fault: str
    statuses: Counter[str] = field(default_factory=Counter)
    facts: dict[str, object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def answered(history: list[Operation]) -> Counter[str]:
    """Without those that still wait for theirs."""
    told = [o for o in history if o.status or o.gave_up]
    return Counter(f"{o.status} {o.response.get('code', '')}".strip() if o.status else "no answer" for o in told)


class Scene:
    """A stack, a crowd that trades all the time, and cases that happen to it one after the other."""

    def __init__(self, stack: Stack, seed: int, pause_s: float) -> None:
        self.stack = stack
        self.crowd = Crowd(stack.http, seed, pause_s=pause_s)
        self.cases: list[Case] = []

    async def during(self, fault: str, act: Callable[[Case], Awaitable[None]]) -> None:
        """`act` while the crowd trades; then until orders are acknowledged as before."""
        case = Case(fault)
        self.cases.append(case)
        began, pids = len(self.crowd.history), await asyncio.to_thread(self.stack.pids)
        await act(case)
        started = time.monotonic()
        try:
            await self.settled()
            case.facts["orders_again_s"] = round(time.monotonic() - started, 2)
        except TimeoutError:
            case.problems.append(f"{fault}: no orders {SETTLE_S_MAX:.0f} s after it was over")
        case.statuses = answered(self.crowd.history[began:])
        for name, pid in (await asyncio.to_thread(self.stack.pids)).items():
            if pids.get(name) not in (pid, None):
                case.problems.append(f"{fault}: {name} was restarted")
        print(f"{fault}: {dict(case.statuses)} {case.facts} {case.problems or ''}", file=sys.stderr, flush=True)

    async def settled(self) -> None:
        """A new acknowledgement of an order sent after now."""
        now_ns = time.monotonic_ns()
        async with asyncio.timeout(SETTLE_S_MAX):
            while not any(o.invoked_ns > now_ns and o.status == 201 for o in self.crowd.history[-200:]):
                await asyncio.sleep(0.05)


async def play(
    stack: Stack, seed: int, acts: Callable[[Scene], Awaitable[None]], pause_s: float = 0.0, others: str = "-"
) -> list[Case]:
    """Deploy, trade, let `acts` happen, check everything, destroy. Orders whose ids match `others` are another program's: the crowd
    has not sent them, and their rows are compared all the same."""
    try:
        await asyncio.to_thread(stack.deploy)
        scene = Scene(stack, seed, pause_s)
        async with asyncio.TaskGroup() as group:
            group.create_task(scene.crowd.run(CLIENTS))
            try:
                await scene.settled()
                await acts(scene)
            finally:
                scene.crowd.stopping = True
        evidence = await asyncio.to_thread(gather, stack)
        verdict = check(scene.crowd.history, evidence.truth, incomplete=evidence.incomplete)
        unexpected = [text for text in verdict.broken if not re.match(rf"nobody sent {others}", text)]
        told = sum(o.result is Result.OK for o in scene.crowd.history)
        scene.cases.append(
            Case(
                "afterwards", facts={"acknowledged": told, "events": len(evidence.truth.events), "rows": evidence.rows},
                problems=unexpected[:5] + verdict.incomplete + evidence.problems,
            )
        )  # fmt: skip
        return scene.cases
    finally:
        await asyncio.to_thread(stack.destroy)
        shutil.rmtree(stack.home, ignore_errors=True)
