"""One client of the binary door for `benchmarks.order_session`: batches as fast as they are answered, or at a rate.

    python -m benchmarks.order_session_client PORT RUN [--seconds N] [--batch N] [--window N] [--rate N]

The orders are those of `harness/mix.lua`: of every two the first rests and the second takes it, so books stay small for ever.
Each order is packed by the client class anew, as a program that decides would. With --rate, latency counts from when a batch was
due; without, from when it was sent. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle

from stack.client import Answered, Batch, Session, Side, TimeInForce

SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA")
MIDDLE_TICKS = 10_000
KEY_VARIABLE = "HFTCTL_API_KEY"
ACCOUNT = "demo"

Order = tuple[int, int, int, int, int]  # symbol, side, price, quantity, time in force


def mix(session: Session) -> Iterator[Order]:
    orders = []
    for number in range(512):
        pair, takes = number // 2, number % 2 == 1
        buys = (number + pair // 4) % 2 == 1
        away = 32 if takes else pair * 7919 % 32 + 1
        orders.append(
            (
                session.tables.symbols[SYMBOLS[pair % 4]].id,
                int(Side.BUY if buys else Side.SELL),
                MIDDLE_TICKS + (away if buys == takes else -away),
                40 if takes and pair % 8 == 7 else 10,
                int(TimeInForce.IOC if takes else TimeInForce.GTC),
            )
        )
    return cycle(orders)


class Load:
    def __init__(self, session: Session, run: str, batch: int) -> None:
        self.session = session
        self.outcomes: Counter[int] = Counter()
        self.latency_s: list[float] = []
        self._run = run.encode()
        self._size = batch
        self._batch = Batch(batch)
        self._account = session.welcome.account or session.tables.account_ids[ACCOUNT]
        self._orders = mix(session)
        self._sent: dict[int, float] = {}
        self._number = 0

    def send(self, since_s: float) -> None:
        """One more batch; its latency counts from `since_s`."""
        batch, limit, account = self._batch, self._batch.limit, self._account
        prefix = b"%s-%d-" % (self._run, self._number)
        batch.clear()
        for place in range(self._size):
            symbol, side, price, quantity, tif = next(self._orders)
            limit(b"%s%d" % (prefix, place), symbol, side, price, quantity, tif=tif, account=account)
        self._number += 1
        self._sent[self.session.submit(batch)] = since_s
        while self.session.ready:
            self.took(self.session.receive())

    def took(self, answer: Answered) -> None:
        self.latency_s.append(time.monotonic() - self._sent.pop(answer.number))
        self.outcomes.update(answer.outcomes())

    def closed_loop(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while (now_s := time.monotonic()) < end_s:
            self.send(now_s)
        self._drain()

    def open_loop(self, seconds: float, rate: int) -> None:
        began_s, every_s = time.monotonic(), self._size / rate
        for number in range(int(seconds / every_s)):
            due_s = began_s + number * every_s
            while (left_s := due_s - time.monotonic()) > 0:
                try:
                    self.took(self.session.receive(left_s))
                except TimeoutError:
                    break
            self.send(due_s)
        self._drain()

    def _drain(self) -> None:
        for answer in self.session.drain():
            self.took(answer)


def percentiles_ms(latency_s: list[float]) -> dict[str, float]:
    ordered = sorted(latency_s)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "max": 1.0}
    last = len(ordered) - 1
    return {name: round(1000 * ordered[min(int(share * len(ordered)), last)], 3) for name, share in shares.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("run", help="makes the ids of a run its own")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--window", type=int, default=16, help="batches under way at once")
    parser.add_argument("--rate", type=int, default=0, help="orders per second; 0: as fast as they are answered")
    options = parser.parse_args()
    key = os.environ.get(KEY_VARIABLE) or None
    with Session("127.0.0.1", options.port, key=key, client="benchmark", window=options.window) as session:
        load = Load(session, options.run, options.batch)
        began_s, began_cpu_s = time.monotonic(), time.process_time()
        if options.rate:
            load.open_loop(options.seconds, options.rate)
        else:
            load.closed_loop(options.seconds)
        taken_s = time.monotonic() - began_s
        found = {
            "orders": load.outcomes.total(),
            "batches": len(load.latency_s),
            "outcomes": dict(load.outcomes),
            "seconds": taken_s,
            "cpu_s": time.process_time() - began_cpu_s,
            "latency_ms": percentiles_ms(load.latency_s),
        }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
