"""How fast the engine alone decides: compiled against reference, on one seeded stream.

    python -m benchmarks.engine_core [--json] [--commands N] [--rounds N]

Two figures: nanoseconds per command in batches of 256 (how the journal is replayed and how a busy engine is fed), and
one command per call (how a lone order comes in). Each is the median of several rounds that alternate between the
implementations, each round on a fresh engine. No journal, no disk and no network is in them.

The stream: half new orders (15 % of them IOC, each with a client_order_id), 40 % cancels of mostly young orders, 10 %
replaces, around a price that wanders; a few thousand orders rest.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from statistics import median

import engine
from engine.journal import CHAIN_START, Encoder
from engine.records import RECORD_BYTES, Command, CommandKind, Instrument
from stack.traffic.load_machine import machine

SEED = 1
BATCH = 256
RESTING = 3000
SIZES = {"max_live_orders": 1 << 14, "client_ids_max": 1 << 18}
REFERENCE_SHARE = 10  # the reference gets every tenth part of the stream: it needs that much longer


def commands(count: int) -> Iterator[bytes]:
    r = random.Random(SEED)
    middle, live = 1_000_000, [0]
    yield Instrument(1, b"BENCH", 1, 2, 1, 0, b"USD").pack()
    yield Command(CommandKind.DEFINE_ACCOUNT, account=1, text=b"bench").pack()
    for sequence in range(3, count + 1):
        draw, away = r.random(), 1 + int(r.expovariate(0.02))
        middle += r.randrange(-1, 2) if draw < 0.02 else 0
        side, quantity = r.choice((1, 2)), r.randrange(1, 100)
        if draw < 0.5 or len(live) < RESTING:
            ioc = r.random() < 0.15
            price = middle if ioc else middle + (away if side == 2 else -away)
            if not ioc:
                live.append(sequence)
            tif = 2 if ioc else 1
            yield Command(
                CommandKind.NEW, side, 1, tif, 0, 1, 1, price, quantity, text=b"bench-%012d" % sequence
            ).pack()
            continue
        place = len(live) - 1 - min(int(r.expovariate(0.005)), len(live) - 1)
        if draw < 0.9:
            live[place], target = live[-1], live[place]
            live.pop()
            yield Command(CommandKind.CANCEL, account=1, target=target).pack()
        else:
            price = middle + r.choice((-away, away))
            yield Command(CommandKind.REPLACE, account=1, price=price, quantity=quantity, target=live[place]).pack()


def records(count: int) -> bytes:
    encoder = Encoder(1, 0, CHAIN_START)
    for command in commands(count):
        encoder.append(command, encoder.sequence)
    return encoder.take()


def ns_per_command(implementation: str, journal: bytes, batch: int) -> float:
    book = engine.create(implementation, **SIZES)  # type: ignore[arg-type]
    step = batch * RECORD_BYTES
    pieces = [journal[at : at + step] for at in range(0, len(journal), step)]
    start = time.perf_counter_ns()
    for piece in pieces:
        book.apply(piece)
    return (time.perf_counter_ns() - start) / (len(journal) // RECORD_BYTES)


def measure(count: int, rounds: int) -> dict[str, object]:
    journal = records(count)
    short = journal[: count // REFERENCE_SHARE * RECORD_BYTES]
    names = [name for name, why_not in engine.implementations().items() if not why_not]
    taken: dict[tuple[str, int], list[float]] = {(name, batch): [] for name in names for batch in (BATCH, 1)}
    for _ in range(rounds + 1):  # the first warms up
        for (name, batch), times in taken.items():
            times.append(ns_per_command(name, journal if name == "cython" else short, batch))
    result: dict[str, object] = {"seed": SEED, "commands": count, "rounds": rounds, "machine": machine()}
    for name in names:
        result[name] = {
            "ns_per_command_batch_256": round(median(taken[name, BATCH][1:]), 1),
            "ns_per_command_batch_1": round(median(taken[name, 1][1:]), 1),
        }
    if "cython" in names:
        ratio = median(taken["python", BATCH][1:]) / median(taken["cython", BATCH][1:])
        result["ratio_batch_256"] = round(ratio, 1)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the engine alone, compiled against reference.")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    result = measure(max(options.commands, 1000), max(options.rounds, 1))
    if options.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key:16} {value}")


if __name__ == "__main__":
    main()
