"""One process of a load run: reads its plan from stdin, says `ready`, is told when to start, prints what it counted."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys

import msgspec
import uvloop

from stack.traffic.load_driver import Counts, Driver, Plan
from stack.traffic.load_history import History
from stack.traffic.load_orders import Orders, Traded

KEY_VARIABLE = "HFTCTL_API_KEY"


async def work(plan: Plan) -> Counts:
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    orders = Orders(
        [Traded.of(instrument, plan.seed) for instrument in plan.instruments],
        run=plan.run,
        worker=plan.worker,
        seed=plan.seed,
        account=plan.account,
        host=f"{host}:{plan.port}",
        key=os.environ.get(KEY_VARIABLE, ""),
        cancels=plan.cancels,
    )
    history = History(plan.history) if plan.history else None
    driver = Driver(plan, orders, history)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, driver.stop)
    await driver.connect()
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    start_ns = int(await loop.run_in_executor(None, sys.stdin.readline) or 0)
    try:
        return await driver.run(start_ns)
    finally:
        if history is not None:
            history.close()


def main() -> int:
    plan = msgspec.json.decode(sys.stdin.readline(), type=Plan)
    try:
        counts = uvloop.run(work(plan))
    except OSError as error:
        print(f"cannot connect to {plan.host}:{plan.port}: {error.strerror or error}", flush=True)
        return 1
    # Buffered, whatever PYTHONUNBUFFERED says: unbuffered, what a full pipe did not take at once would be dropped without a word.
    with os.fdopen(sys.stdout.fileno(), "wb", closefd=False) as out:
        out.write(msgspec.json.encode(counts) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
