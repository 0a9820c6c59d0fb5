"""Clients that write down what they asked and what they were told, and never give up on a dead connection."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.faults.history import Op, Operation, Result, result_of

SYMBOLS = {"AAPL": ("0.01", 19000), "BTCUSD": ("0.01", 6_000_000), "ESH4": ("0.25", 19_000)}
REPLY_TIMEOUT_S = 15.0


class Connection:
    """One keep-alive HTTP/1.1 connection; opened anew after any trouble."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
        """Status and decoded body. Raises OSError, EOFError, TimeoutError: the outcome is unknown."""
        try:
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                if self.streams is not None and self.streams[0].at_eof():
                    self.close()  # the other side ended it while it was idle, as it may
                if self.streams is None:
                    self.streams = await asyncio.open_connection("127.0.0.1", self.port)
                reader, writer = self.streams
                head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
                writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
                status_line = await reader.readuntil(b"\r\n")
                headers = await reader.readuntil(b"\r\n\r\n") if status_line else b""
                fields = {
                    name.strip().lower(): value.strip()
                    for name, _, value in (line.partition(b":") for line in headers.split(b"\r\n"))
                }
                data = await self._body(reader, fields)
                if fields.get(b"connection", b"").lower() == b"close":
                    self.close()
                return int(status_line.split()[1]), json.loads(data) if data else {}
        except BaseException:
            self.close()
            raise

    @staticmethod
    async def _body(reader: asyncio.StreamReader, fields: dict[bytes, bytes]) -> bytes:
        if fields.get(b"transfer-encoding") != b"chunked":
            return await reader.readexactly(int(fields.get(b"content-length", b"0")))
        data = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            data += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return data

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


@dataclass
class Crowd:
    """Clients trading against each other until told to stop."""

    port: int
    seed: int
    accounts: tuple[str, ...] = ("alice", "bob")
    history: list[Operation] = field(default_factory=list)
    stopping: bool = False
    pause_s: float = 0.0  # between an answer and the next request

    async def run(self, clients: int) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self._client(number))

    async def _client(self, number: int) -> None:
        chance = random.Random(f"{self.seed}/{number}")
        connection = Connection(self.port)
        mine: list[Operation] = []
        count = 0
        while not self.stopping:
            dice = chance.random()
            if dice < 0.15 and mine:
                done = await self._attempt(connection, self._cancel_of(mine.pop(chance.randrange(len(mine)))))
            elif dice < 0.25 and self.history and (earlier := self._unsettled(number, chance)):
                done = await self._attempt(connection, earlier)
            else:
                count += 1
                done = await self._attempt(connection, self._place(number, count, chance))
                if done.result is Result.OK and done.response.get("status") == "open":
                    mine = [*mine[-50:], done]
            if done.result is not Result.OK or self.pause_s:
                await asyncio.sleep(self.pause_s or 0.02)
        connection.close()

    def _unsettled(self, number: int, chance: random.Random) -> Operation | None:
        """An own earlier order sent once more, word for word, as a client does that lost the reply."""
        own = [
            o
            for o in self.history[-200:]
            if o.op is Op.PLACE and o.client_order_id.startswith(f"s{self.seed}-{number}-")
        ]
        if not own:
            return None
        o = chance.choice(own)
        return Operation(Op.PLACE, o.client_order_id, o.account, o.symbol, 0, body=o.body)

    def _place(self, number: int, count: int, chance: random.Random) -> Operation:
        symbol = chance.choice(list(SYMBOLS))
        tick, middle = SYMBOLS[symbol]
        ticks = middle + chance.randint(-20, 20)
        price = str(ticks * Decimal(tick))
        body = {
            "client_order_id": f"s{self.seed}-{number}-{count}", "account": chance.choice(self.accounts), "symbol": symbol,
            "side": chance.choice(["buy", "sell"]), "type": "limit", "price": price, "quantity": str(chance.randint(1, 9)),
            "time_in_force": chance.choice(["GTC", "GTC", "GTC", "IOC", "FOK"]),
        }  # fmt: skip
        return Operation(Op.PLACE, body["client_order_id"], body["account"], symbol, 0, body=body)

    @staticmethod
    def _cancel_of(order: Operation) -> Operation:
        return Operation(Op.CANCEL, order.client_order_id, order.account, order.symbol, 0, order_id=order.order_id)

    async def _attempt(self, connection: Connection, operation: Operation) -> Operation:
        operation.invoked_ns = time.monotonic_ns()
        self.history.append(operation)
        try:
            if operation.op is Op.PLACE:
                status, reply = await connection.request("POST", "/orders", json.dumps(operation.body).encode())
            else:
                status, reply = await connection.request("DELETE", f"/orders/{operation.order_id}")
        except (
            OSError,
            EOFError,
            TimeoutError,
            ValueError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ) as error:
            operation.gave_up = True
            operation.response = {
                "code": f"{type(error).__name__} after {(time.monotonic_ns() - operation.invoked_ns) / 1e9:.1f} s"
            }
            return operation
        operation.completed_ns = time.monotonic_ns()
        operation.status, operation.response, operation.result = status, reply, result_of(status, reply)
        if operation.op is Op.PLACE and operation.result is Result.OK:
            operation.order_id = str(reply.get("order_id", ""))
        return operation
