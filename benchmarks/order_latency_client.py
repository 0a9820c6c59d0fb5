"""The generator of `benchmarks.order_latency`, a process of its own: a plan on stdin, what it counted on stdout.

    python -m benchmarks.order_latency_client orders|edge

`orders` sends what `hftctl load` sends; `edge` asks nginx for an answer of its own with a body of the same kind, through the
same clients, so that the difference is what stands behind nginx.
"""

from __future__ import annotations

import gc
import os
import sys
import time

import msgspec
import uvloop

from stack.traffic.load_driver import Counts, Driver, Plan
from stack.traffic.load_orders import Orders, Request, Traded

START_DELAY_NS = 100_000_000


class EdgeOrders(Orders):
    """Orders as they would be sent, to an address that nginx answers itself."""

    def next(self, elapsed_s: float) -> Request:
        request = super().next(elapsed_s)
        return request._replace(data=request.data.replace(b"POST /orders ", b"POST /health/edge ", 1))


async def work(plan: Plan, kind: type[Orders]) -> Counts:
    orders = kind(
        [Traded.of(instrument, plan.seed) for instrument in plan.instruments],
        run=plan.run, worker=plan.worker, seed=plan.seed, account=plan.account, host=f"{plan.host}:{plan.port}", key="",
        cancels=plan.cancels,
    )  # fmt: skip
    driver = Driver(plan, orders, None)
    await driver.connect()
    gc.collect()
    gc.freeze()
    return await driver.run(time.monotonic_ns() + START_DELAY_NS)


def main() -> int:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    counts = uvloop.run(work(plan, EdgeOrders if sys.argv[1] == "edge" else Orders))
    with os.fdopen(sys.stdout.fileno(), "wb", closefd=False) as out:
        out.write(msgspec.json.encode(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
