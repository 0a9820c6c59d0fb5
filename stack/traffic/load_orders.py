"""What the clients of a load run ask for: seeded orders around a price that all workers move alike.

Of a hundred orders 55 rest near the middle, 25 cross it and may rest, 20 cross it and do not (IOC). Those that cross are
larger, so that books stay small however long the load lasts.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from stack.wire.decimals import Step

START_TICKS = 20_000
STEP_S = 0.1  # the middle moves this often
STEPS = 6000  # and then begins anew
CANCEL_SHARE = 0.25  # of mix orders+cancels
KNOWN_MAX = 256  # open orders a client remembers for its cancels


class Traded(NamedTuple):
    symbol: str
    tick: Step
    lot: Step
    path: list[int]  # the middle in ticks, one for each STEP_S

    @classmethod
    def of(cls, instrument: dict[str, Any], seed: int) -> Traded:
        chance = random.Random(f"{seed}/{instrument['symbol']}")
        path, ticks = [], START_TICKS
        for _ in range(STEPS):
            ticks = max(START_TICKS // 2, ticks + chance.randint(-3, 3))
            path.append(ticks)
        return cls(instrument["symbol"], Step.parse(instrument["tick_size"]), Step.parse(instrument["lot_size"]), path)


class Request(NamedTuple):
    """One thing a client asks for; sent again word for word when the answer leaves the outcome open."""

    op: str  # place | cancel
    name: str  # client_order_id, of a cancel the order_id
    data: bytes  # head and body
    body: bytes


class Orders:
    """The requests of one worker. `run` makes the ids of each run its own."""

    def __init__(
        self,
        traded: list[Traded],
        *,
        run: str,
        worker: int,
        seed: int,
        account: str,
        host: str,
        key: str,
        cancels: bool,
    ) -> None:
        self._chance = random.Random(f"{seed}/{worker}")
        self._traded = traded
        self._prefix = f"{run}-{worker}-"
        self._account = account
        self._count = 0
        self._cancel_share = CANCEL_SHARE if cancels else 0.0
        self._known: list[str] = []
        fixed = f"Host: {host}\r\n" + (f"Authorization: Bearer {key}\r\n" if key else "")
        self._post = f"POST /orders HTTP/1.1\r\n{fixed}Content-Type: application/json\r\nContent-Length: "
        self._delete = f" HTTP/1.1\r\n{fixed}\r\n"

    def next(self, elapsed_s: float) -> Request:
        chance = self._chance
        if self._cancel_share and self._known and chance.random() < self._cancel_share:
            order_id = self._known.pop(int(chance.random() * len(self._known)))
            return Request("cancel", order_id, f"DELETE /orders/{order_id}{self._delete}".encode(), b"")
        self._count += 1
        traded = self._traded[int(chance.random() * len(self._traded))]
        middle = traded.path[int(elapsed_s / STEP_S) % STEPS]
        buy, dice, away = chance.random() < 0.5, chance.random(), 1 + int(chance.random() * 10)
        rests = dice < 0.55
        ticks = middle - away if buy == rests else middle + away
        lots = 1 + int(chance.random() * (10 if rests else 20))
        name = f"{self._prefix}{self._count}"
        body = (
            f'{{"client_order_id":"{name}","account":"{self._account}","symbol":"{traded.symbol}",'
            f'"side":"{"buy" if buy else "sell"}","type":"limit","price":"{traded.tick.text(ticks)}",'
            f'"quantity":"{traded.lot.text(lots)}","time_in_force":"{"IOC" if dice > 0.8 else "GTC"}"}}'
        )
        return Request("place", name, f"{self._post}{len(body)}\r\n\r\n{body}".encode(), body.encode())

    def opened(self, answer: bytes) -> None:
        """Remember an order that was answered as open, to cancel it later."""
        if not self._cancel_share or b'"status":"open"' not in answer:
            return
        start = answer.find(b'"order_id":"') + 12
        if len(self._known) < KNOWN_MAX:
            self._known.append(answer[start : answer.find(b'"', start)].decode())
