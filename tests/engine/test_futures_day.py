"""A captured day of a futures book, order by order, through both implementations.

Adds, modifies and cancels become commands; a trade becomes an IOC order of its aggressor. Fills, and the cancel or
modify that follows a fill of the same order, are the exchange's results: not commands, but what ours are compared with.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.journal import CHAIN_START, Encoder
from engine.records import MAKER, Command, CommandKind, EventKind, Instrument, Reason, unpack_events

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("HFTCTL_DATA_DIR", ROOT.parent / "shared" / "data"))
DAY = FOLDER / "esh4-glbx-mdp3-20231225.mbo.dbn.zst"
TICK = 250_000_000  # nano-points of the contract's quarter-point tick
SIZES = {"max_live_orders": 1 << 16, "client_ids_max": 1 << 17}

pytestmark = pytest.mark.skipif(
    not DAY.exists(), reason=f"no captured day at {DAY}: set HFTCTL_DATA_DIR to the folder that has it"
)


def messages() -> list[Any]:
    import databento_dbn
    import zstandard

    decoder = databento_dbn.DBNDecoder()
    with DAY.open("rb") as file:
        decoder.write(zstandard.ZstdDecompressor().stream_reader(file).read())
    return [record for record in decoder.decode() if isinstance(record, databento_dbn.MBOMsg)]


class Day:
    """Turns messages into commands, and remembers what the exchange says came of them."""

    def __init__(self) -> None:
        self.encoder = Encoder(1, 0, CHAIN_START)
        self.fills: Counter[tuple[int, int]] = Counter()  # (our order, lots) of the exchange's makers
        self._ours: dict[int, int] = {}  # exchange's order id -> our sequence
        self._open: dict[int, int] = {}
        self._ordered: dict[int, int] = {}  # lots, fills included
        self._filled: dict[int, int] = {}  # lots whose result (cancel or modify) has not come yet

    def records(self) -> bytes:
        self._put(Instrument(1, b"ESH4", 25, 2, 1, 0, b"USD").pack(), 0)
        self._put(Command(CommandKind.DEFINE_ACCOUNT, account=1, text=b"exchange").pack(), 0)
        for message in messages():
            for command in self.commands(message):
                self._put(command.pack(), message.ts_event)
        return self.encoder.take()

    def _put(self, command: bytes, time_ns: int) -> None:
        self.encoder.append(command, time_ns)

    def commands(self, message: Any) -> Iterator[Command]:
        action, side = str(message.action), {"B": 1, "A": 2}.get(str(message.side), 0)
        name, price, size = message.order_id, message.price // TICK, message.size
        if action == "A":
            self._ours[name] = self.encoder.sequence + 1
            self._open[name] = self._ordered[name] = size
            yield Command(CommandKind.NEW, side, 1, 1, 0, 1, 1, price, size, text=b"%d" % name)
        elif action == "T" and side:
            yield Command(CommandKind.NEW, side, 1, 2, 0, 1, 1, price, size, text=b"t-%d" % (self.encoder.sequence + 1))
        elif action == "F" and name in self._ours and side:
            self.fills[self._ours[name], size] += 1
            self._filled[name] = self._filled.get(name, 0) + size
        elif action in "MC" and name in self._ours:
            left = self._open[name] - self._filled.pop(name, 0)
            result = left != self._open[name]
            self._open[name] = left
            if action == "C" and not (result and left == 0):
                yield Command(CommandKind.CANCEL, account=1, target=self._ours[name])
            elif action == "M" and not (result and left == size):
                self._ordered[name] += size - left
                self._open[name] = size
                yield Command(
                    CommandKind.REPLACE, account=1, price=price, quantity=self._ordered[name], target=self._ours[name]
                )


@pytest.fixture(scope="module")
def day() -> tuple[bytes, Counter[tuple[int, int]]]:
    day = Day()
    return day.records(), day.fills


@pytest.mark.skipif(bool(engine.implementations()["cython"]), reason="the compiled engine is not built")
def test_both_implementations_give_the_same_bytes(day: tuple[bytes, Counter[tuple[int, int]]]) -> None:
    records, _ = day
    compiled, reference = engine.create("cython", **SIZES), engine.create("python", **SIZES)
    assert compiled.apply(records) == reference.apply(records)
    assert compiled.state_hash() == reference.state_hash()
    assert compiled.book(1, 10_000) == reference.book(1, 10_000)
    compiled.check_invariants()
    reference.check_invariants()
    assert reference.trades > 1000


def test_fills_are_those_of_the_exchange(day: tuple[bytes, Counter[tuple[int, int]]], implementation: str) -> None:
    """Nine of ten: the day opens with an auction, which we don't hold, so that orders that waited for it match earlier."""
    records, theirs = day
    book = engine.create(implementation, **SIZES)  # type: ignore[arg-type]
    events = unpack_events(book.apply(records))
    ours = Counter((e.order, e.quantity) for e in events if e.kind == EventKind.FILL and e.flags & MAKER)
    assert (ours & theirs).total() > 0.9 * theirs.total() > 5000
    refused = Counter(Reason(event.reason) for event in events if event.kind == EventKind.REFUSED)
    assert set(refused) == {Reason.UNKNOWN_ORDER}, "only what an earlier match has already taken is refused"
    assert refused.total() < 0.01 * book.sequence
