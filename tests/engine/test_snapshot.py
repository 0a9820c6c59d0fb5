"""A compiled engine taken apart and put together goes on as if nothing had happened; broken pieces are refused."""

from __future__ import annotations

import random
import struct
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import engine
from engine.journal import CHAIN_START, Encoder
from engine.records import RECORD_BYTES, Command, CommandKind
from tests.engine import streams

pytestmark = pytest.mark.skipif(bool(engine.implementations()["cython"]), reason="the compiled engine is not built")

CORE, INSTRUMENTS, ACCOUNTS, ORDERS, LEVELS, IDS, EXPIRIES = range(1, 8)
Pieces = list[tuple[int, bytes]]


def dumped(book: Any) -> Pieces:
    pieces: Pieces = []
    book.dump(lambda kind, piece: pieces.append((kind, piece)))
    return pieces


def restored(pieces: Pieces, sizes: dict[str, int]) -> Any:
    book: Any = engine.create("cython", **sizes, faulted_in=False)
    for kind, piece in pieces:
        book.restore(kind, piece)
    book.finish_restore()
    return book


NAMES = [
    "window edge",
    "far levels run out",
    "many accounts and symbols",
    "book full",
    "more ids than planned",
    "garbage",
    "by the clock",
]


class Halves(NamedTuple):
    """An engine in the middle of a stream, and what is still to come."""

    book: Any
    rest: bytes
    sizes: dict[str, int]
    commands: list[bytes]
    records: bytes


@pytest.fixture(params=NAMES)
def halves(request: pytest.FixtureRequest) -> Halves:
    regime = streams.REGIMES[request.param]
    commands = [c if isinstance(c, bytes) else c.pack() for c in streams.commands(regime, 3)][:4000]
    for at in range(500, len(commands), 700):
        commands[at] = Command(CommandKind.ROLL_CLIENT_IDS).pack()
    encoded = Encoder(1, 0, CHAIN_START).extend(b"".join(commands), 7)
    sizes = {"max_live_orders": regime.max_live_orders, "client_ids_max": regime.client_ids_max}
    book = engine.create("cython", **sizes, faulted_in=False)
    middle = random.Random(request.param).randrange(900, len(commands) - 200) * RECORD_BYTES
    book.apply(encoded[:middle])
    return Halves(book, encoded[middle:], sizes, commands, encoded)


def test_both_go_on_with_the_same_events(halves: Halves) -> None:
    book, rest, sizes, commands, _ = halves
    twin = restored(dumped(book), sizes)
    twin.check_invariants()
    assert twin.state_hash() == book.state_hash()
    assert [twin.find(command) for command in commands] == [book.find(command) for command in commands]
    pieces = dumped(twin)
    assert twin.apply(rest) == book.apply(rest)
    twin.check_invariants()
    assert twin.state_hash() == book.state_hash()
    reference = engine.create("python", **sizes)
    reference.apply(halves.records)
    assert twin.state_hash() == reference.state_hash()
    assert dumped(restored(pieces, sizes)) == pieces


def test_the_tables_of_ids_follow_the_settings(halves: Halves) -> None:
    book, rest, sizes, commands, _ = halves
    twin = restored(dumped(book), sizes | {"client_ids_max": 5 * sizes["client_ids_max"]})
    twin.check_invariants()
    assert [twin.find(command) for command in commands] == [book.find(command) for command in commands]
    assert twin.apply(rest) == book.apply(rest)
    smaller = restored(dumped(twin), sizes | {"client_ids_max": 1})
    smaller.check_invariants()
    assert smaller.state_hash() == twin.state_hash()


def test_an_empty_engine_comes_back() -> None:
    sizes = {"max_live_orders": 5, "client_ids_max": 5}
    empty = engine.create("cython", **sizes, faulted_in=False)
    assert restored(dumped(empty), sizes).state_hash() == empty.state_hash()


def test_pieces_that_cannot_be_are_refused() -> None:
    sizes = {"max_live_orders": 500, "client_ids_max": 300}
    book = engine.create("cython", **sizes, faulted_in=False)
    commands = [c if isinstance(c, bytes) else c.pack() for c in streams.commands(streams.REGIMES["narrow"], 1)]
    book.apply(Encoder(1, 0, CHAIN_START).extend(b"".join(commands[:900]), 7))
    pieces = dumped(book)
    kinds = {kind: place for place, (kind, _) in reversed(list(enumerate(pieces)))}
    assert set(kinds) == {CORE, INSTRUMENTS, ACCOUNTS, ORDERS, LEVELS, IDS}
    far = struct.pack("<I", 0xFFFFFFF0)

    def with_bytes(kind: int, offset: int, data: bytes) -> Pieces:
        changed = list(pieces)
        piece = bytearray(changed[kinds[kind]][1])
        piece[offset : offset + len(data)] = data
        changed[kinds[kind]] = kind, bytes(piece)
        return changed

    wrong = [
        with_bytes(ORDERS, 0, far),  # next
        with_bytes(LEVELS, 8 + 8, far),  # head of a level
        with_bytes(LEVELS, 0, far),  # symbol
        with_bytes(IDS, 0, far),  # slot
        with_bytes(CORE, 6 * 8, far),  # fresh
        with_bytes(CORE, 4 * 8, struct.pack("<Q", 1)),  # live
        with_bytes(ACCOUNTS, 0, far),  # length of a name
        [piece for piece in pieces if piece[0] != ORDERS],
        [piece for piece in pieces if piece[0] != IDS],
        [*pieces, pieces[kinds[ORDERS]]],
        [*pieces, (CORE, pieces[0][1])],
        [(99, b""), *pieces],
        [(kind, piece[:-1]) for kind, piece in pieces],
    ]
    for place, broken in enumerate(wrong):
        with pytest.raises(ValueError, match=r"^(it |a |an |its |the )"):
            pytest.fail(f"{place} was taken: {restored(broken, sizes)}")
    with pytest.raises(ValueError, match="max_live_orders"):
        restored(pieces, {"max_live_orders": 501, "client_ids_max": 300})


def test_memory_is_taken_beside_the_work_and_changes_nothing(halves: Halves) -> None:
    book, rest, sizes, _, _ = halves
    pieces, stop = dumped(book), threading.Event()
    tables: Any = engine.create("cython", **sizes, faulted_in=True)

    def again_and_again() -> None:
        while not stop.is_set():
            tables.fault_in()

    thread = threading.Thread(target=again_and_again)
    thread.start()
    try:
        for kind, piece in pieces:
            tables.restore(kind, piece)
        tables.finish_restore()
        assert dumped(tables) == pieces
        assert tables.apply(rest) == book.apply(rest)  # tables of ids that grow meanwhile included
    finally:
        stop.set()
        thread.join()
    tables.check_invariants()
    assert dumped(tables) == dumped(book)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_all_tables_have_their_memory_afterwards() -> None:
    def resident_kib() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4

    before = resident_kib()
    book: Any = engine.create("cython", max_live_orders=1 << 17, client_ids_max=1 << 17, faulted_in=True)
    assert resident_kib() - before < 8_000
    book.fault_in()
    tables_kib = ((1 << 17) * 64 + (1 << 18) * 8 + 2 * (1 << 18) * 6 // 5 * 32) // 1024
    assert tables_kib <= resident_kib() - before < 1.5 * tables_kib
