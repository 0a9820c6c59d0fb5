"""A journal of older rules gives the same bytes for ever; newer rules begin where they were adopted, and nowhere else.

tests/engine/golden/rules-1 was written by the last engine that knew rules 1 only: two segments and the snapshot between, of
a stream in which a quarter of the orders carry types, times in force and flags that later rules may give a meaning.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import engine
from engine.journal import CHAIN_START, HEADER_BYTES, SegmentHeader, scan
from engine.records import (
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    RULES_VERSION,
    Command,
    CommandKind,
    EventKind,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)
from engine.replay import replay
from engine.rules import rules_needed
from tests.engine.market import BASE, BUY, Market, kinds, refusal

GOLDEN = Path(__file__).parent / "golden" / "rules-1"
ORDER = Command(
    CommandKind.NEW, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, account=1, symbol=1, price=BASE, quantity=1
)


def test_a_journal_of_rules_1_gives_what_it_gave(implementation: str) -> None:
    due = json.loads((GOLDEN / "expected.json").read_text())
    book = engine.create(implementation, max_live_orders=512, client_ids_max=256)  # type: ignore[arg-type]
    events_hash, groups = CHAIN_START, 0
    for path in sorted(GOLDEN.glob("*.journal.gz")):
        segment = gzip.decompress(path.read_bytes()).ljust(due["segment_bytes"], b"\0")
        header = SegmentHeader.decode(segment)
        assert (header.rules_version, header.events_hash) == (1, events_hash)
        records = segment[HEADER_BYTES:]
        found = scan(records, header.epoch, header.first_sequence - 1, header.chain, 0)
        for _, running in replay(book, records[: found.end_offset], events_hash):
            groups, events_hash = groups + 1, running
            if book.sequence == due["snapshot"]:
                assert book.state_hash() == due["snapshot_state_hash"]
    assert groups > 400
    stands = {"sequence": book.sequence, "state_hash": book.state_hash(), "events": book.events, "live": book.live}
    assert stands == {name: due[name] for name in stands}
    assert (events_hash, book.rules) == (due["events_hash"], 1)
    book.check_invariants()


@pytest.mark.parametrize("flags", [CANCEL_NEWEST, CANCEL_OLDEST, CANCEL_NEWEST | CANCEL_OLDEST])
def test_what_older_rules_refuse_they_refuse_until_newer_ones_are_adopted(market: Market, flags: int) -> None:
    assert refusal(market.order(BUY, 1, BASE, flags=flags)) == Reason.BAD_FIELD
    before = market.engine.state_hash()
    [adopted] = market.do(Command(CommandKind.ADOPT_RULES, quantity=2))
    assert (adopted.kind, adopted.quantity, adopted.order) == (EventKind.RULES_ADOPTED, 2, 0)
    assert market.engine.rules == 2
    assert market.engine.state_hash() != before
    assert kinds(market.order(BUY, 1, BASE, flags=flags)) == [EventKind.ACCEPTED]
    for nobody_defined in (16, 32, 64, 128, 2):
        assert refusal(market.order(BUY, 1, BASE, flags=nobody_defined)) == Reason.BAD_FIELD


@pytest.mark.parametrize("version", [-1, 0, 1, RULES_VERSION + 1, 1 << 40])
def test_rules_that_are_none_or_in_force_are_not_adopted(market: Market, version: int) -> None:
    assert refusal(market.do(Command(CommandKind.ADOPT_RULES, quantity=version))) == Reason.BAD_FIELD
    assert market.engine.rules == 1
    for known in range(2, RULES_VERSION + 1):
        market.do(Command(CommandKind.ADOPT_RULES, quantity=known))
        assert refusal(market.do(Command(CommandKind.ADOPT_RULES, quantity=known))) == Reason.BAD_FIELD


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({}, 1),
        ({"flags": 1}, 1),
        ({"flags": CANCEL_NEWEST}, 2),
        ({"flags": CANCEL_OLDEST | 1}, 2),
        ({"kind": CommandKind.CANCEL, "flags": CANCEL_NEWEST}, 1),
        ({"tif": TimeInForce.DAY}, 3),
        ({"tif": TimeInForce.GTT, "extra": 1 << 62, "flags": CANCEL_NEWEST}, 3),
        ({"flags": 128}, 1),  # of no rules: refused under all
    ],
)
def test_a_command_needs_the_oldest_rules_that_take_it(market: Market, change: dict[str, int], needed: int) -> None:
    command = ORDER._replace(**change)
    assert rules_needed(command.pack()) == needed
    assert refusal(market.do(command._replace(quantity=0)))
    for rules in range(2, needed + 1):
        assert refusal(market.do(command)) == Reason.BAD_FIELD
        market.do(Command(CommandKind.ADOPT_RULES, quantity=rules))
    if command.kind == CommandKind.NEW and command.flags != 128:
        assert kinds(market.do(command)) == [EventKind.ACCEPTED]
