"""Both implementations give the same bytes on seeded random streams."""

from __future__ import annotations

import pytest

import engine
from engine.records import EVENT_BYTES, RECORD_BYTES, unpack_events
from tests.engine import streams

COMPILED = not engine.implementations()["cython"]
pytestmark = pytest.mark.skipif(not COMPILED, reason="the compiled engine is not built: nothing to compare")


def first_difference(got: bytes, due: bytes) -> str:
    for offset in range(0, max(len(got), len(due)), EVENT_BYTES):
        one, other = got[offset : offset + EVENT_BYTES], due[offset : offset + EVENT_BYTES]
        if one != other:
            return f"cython    {unpack_events(one)}\n  reference {unpack_events(other)}"
    return "none"


@pytest.mark.parametrize("name", streams.REGIMES)
@pytest.mark.parametrize("seed", range(3))
def test_same_events_and_state_on_random_streams(name: str, seed: int) -> None:
    regime = streams.REGIMES[name]
    sizes = {"max_live_orders": regime.max_live_orders, "client_ids_max": regime.client_ids_max}
    compiled, reference = engine.create("cython", **sizes), engine.create("python", **sizes)
    stream = list(streams.commands(regime, seed))
    for piece in streams.records(iter(stream), (1, 37, 600)[seed], regime.clock):
        before = reference.sequence
        got, due = compiled.apply(piece), reference.apply(piece)
        where = f"regime {name!r}, seed {seed}, commands {before + 1} to {before + len(piece) // RECORD_BYTES}"
        assert got == due, f"{where}: {first_difference(got, due)}"
        if before % 512 < len(piece) // RECORD_BYTES:
            assert compiled.state_hash() == reference.state_hash(), where
            for one in stream[before : before + 20]:
                command = one if isinstance(one, bytes) else one.pack()
                assert compiled.find(command) == reference.find(command), where
    compiled.check_invariants()
    reference.check_invariants()
    assert compiled.state_hash() == reference.state_hash()
    for symbol in range(regime.symbols + 2):
        assert compiled.book(symbol, 10_000) == reference.book(symbol, 10_000)
    assert compiled.live_orders(1, 0, 100, 50) == reference.live_orders(1, 0, 100, 50)
    assert compiled.live_orders(limit=1 << 30) == reference.live_orders(limit=1 << 30)
    for order in reference.live_orders(limit=30):
        assert compiled.last_event(order) == reference.last_event(order)
    counters = ("sequence", "events", "trades", "live", "halted", "client_ids", "rules", "next_expiry")
    assert [getattr(compiled, one) for one in counters] == [getattr(reference, one) for one in counters]


def test_streams_reach_every_reason_and_kind() -> None:
    """A differential test proves nothing about what its streams never do."""
    from engine.records import EventKind, Reason

    kinds, reasons = set(), set()
    for regime in streams.REGIMES.values():
        sizes = {"max_live_orders": regime.max_live_orders, "client_ids_max": regime.client_ids_max}
        compiled = engine.create("cython", **sizes)
        for piece in streams.records(streams.commands(regime, 0), 4096, regime.clock):
            for event in unpack_events(compiled.apply(piece)):
                kinds.add(event.kind)
                reasons.add(event.reason)
    assert kinds == set(EventKind)
    assert reasons == set(Reason)
