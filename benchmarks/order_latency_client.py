"""The generator of `benchmarks.order_latency`, a process of its own: a plan on stdin, what it counted on stdout.

    python -m benchmarks.order_latency_client orders|edge

`orders` sends what `hftctl load` sends; `edge` asks nginx for an answer of its own with a body of the same kind, through the
same clients, so that the difference is what stands behind nginx. Beside the latency from when a request was due stands how long
it waited here before it was written, and how long its answer took from then.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections import Counter

import msgspec
import uvloop

from stack.traffic.load_client import Client
from stack.traffic.load_driver import Counts, Driver, Plan, Slot
from stack.traffic.load_orders import Orders, Request, Traded

START_DELAY_NS = 100_000_000


class EdgeOrders(Orders):
    """Orders as they would be sent, to an address that nginx answers itself."""

    def next(self, elapsed_s: float) -> Request:
        request = super().next(elapsed_s)
        return request._replace(data=request.data.replace(b"POST /orders ", b"POST /health/edge ", 1))


class Seen(msgspec.Struct):
    """What this process saw; microseconds and how often."""

    counts: Counts
    waited_us: dict[int, int]
    answered_us: dict[int, int]


class SplitDriver(Driver):
    def __init__(self, plan: Plan, orders: Orders) -> None:
        super().__init__(plan, orders, None)
        self.waited_us: Counter[int] = Counter()
        self.answered_us: Counter[int] = Counter()

    def _send(self, slot: Slot) -> None:
        super()._send(slot)
        if slot.since_ns >= self._from_ns:
            self.waited_us[(slot.invoked_ns - slot.since_ns) // 1000] += 1

    def _answered(self, client: Client, status: int, head: bytes, body: bytes) -> None:
        slot = self._slots[client]
        if slot.since_ns >= self._from_ns:
            self.answered_us[(time.monotonic_ns() - slot.invoked_ns) // 1000] += 1
        super()._answered(client, status, head, body)


async def work(plan: Plan, kind: type[Orders]) -> Seen:
    orders = kind(
        [Traded.of(instrument, plan.seed) for instrument in plan.instruments],
        run=plan.run, worker=plan.worker, seed=plan.seed, account=plan.account, host=f"{plan.host}:{plan.port}", key="",
        cancels=plan.cancels,
    )  # fmt: skip
    driver = SplitDriver(plan, orders)
    await driver.connect()
    gc.collect()
    gc.freeze()
    counts = await driver.run(time.monotonic_ns() + START_DELAY_NS)
    return Seen(counts, driver.waited_us, driver.answered_us)


def main() -> int:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    seen = uvloop.run(work(plan, EdgeOrders if sys.argv[1] == "edge" else Orders))
    with os.fdopen(sys.stdout.fileno(), "wb", closefd=False) as out:
        out.write(msgspec.json.encode(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
