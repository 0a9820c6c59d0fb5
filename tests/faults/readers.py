"""Clients that read through the public door and write down how each read was answered."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field

from tests.faults.clients import SYMBOLS, Connection, Crowd
from tests.faults.history import Op

HISTORY = "/orders?account=alice&limit=20"  # the one read here that needs PostgreSQL
RECENT_NS = (
    2_000_000_000  # how far back it looks: chains of orders are found by reading the day from their beginning on
)


@dataclass
class Read:
    path: str
    began_ns: int
    ended_ns: int
    status: int  # 0: no answer
    code: str = ""  # of the error


@dataclass
class Readers:
    crowd: Crowd
    pause_s: float
    done: list[Read] = field(default_factory=list)

    async def run(self, clients: int) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self._client(number))

    async def _client(self, number: int) -> None:
        chance = random.Random(f"reader/{self.crowd.seed}/{number}")
        connection = Connection(self.crowd.port)
        while not self.crowd.stopping:
            path, began = self._path(chance), time.monotonic_ns()
            code = ""
            try:
                status, body = await connection.request("GET", path)
                code = "" if status == 200 else f"{body.get('code')}: {body.get('message')}"
            except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
                status, code = 0, f"{type(error).__name__} after {(time.monotonic_ns() - began) / 1e9:.1f} s"
            self.done.append(Read(path, began, time.monotonic_ns(), status, code))
            await asyncio.sleep(self.pause_s)
        connection.close()

    def _path(self, chance: random.Random) -> str:
        dice = chance.random()
        if dice < 0.1:
            return f"{HISTORY}&since={time.time_ns() - RECENT_NS}"
        if dice < 0.3:
            return "/orders?account=bob&live=true&limit=20"
        known = [o for o in self.crowd.history[-50:] if o.op is Op.PLACE and o.order_id]
        if dice < 0.7 and known:
            return f"/orders/{chance.choice(known).order_id}"
        return f"/book/{chance.choice(list(SYMBOLS))}?depth=5"
