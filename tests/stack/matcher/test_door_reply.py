"""The Order that the door writes is, byte for byte, the one that `stack.wire.order` and the JSON encoder make."""

import random

import msgspec
import pytest

from engine.records import MAKER, POST_ONLY, Event, EventKind, Reason
from stack.wire.order import fold
from stack.wire.tables import Tables
from tests.stack.matcher.door_bodies import TABLES

door = pytest.importorskip("stack.door.codec", reason="the extensions are not built")


def chain(chance: random.Random) -> list[Event]:
    symbol, account = chance.randrange(1, 8), chance.randrange(1, 5)
    largest = chance.choice([10, 1 << 20, 1 << 53])
    quantity, price = chance.randrange(1, largest + 1), chance.choice([19025, chance.randrange(1, 1 << 40)])
    side, kind = chance.choice([1, 2]), chance.choice([1, 1, 2])
    tif = chance.choice([1, 2, 3] if kind == 1 else [2, 3])
    sequence, time = chance.randrange(1, 1 << 62), chance.randrange(1, 1 << 62)
    flags = POST_ONLY if (kind, tif) == (1, 1) and chance.random() < 0.2 else 0
    text = f"c:{chance.randrange(10**9)}".encode().ljust(chance.randrange(1, 36), b"-")

    def event(kind_: EventKind, price: int, quantity: int, leaves: int, **more: int) -> Event:
        return Event(
            events[-1].sequence + chance.randrange(3) if events else sequence,
            sequence, time + len(events), 0, price, quantity, leaves,
            chance.randrange(1, 1 << 40), account, symbol, 0, kind_, side, kind, tif, more.get("flags", flags),
            more.get("reason", 0), text if kind_ == EventKind.ACCEPTED else b"",
        )  # fmt: skip

    events: list[Event] = []
    leaves = quantity
    events.append(event(EventKind.ACCEPTED, price if kind == 1 else 0, quantity, leaves))
    for _ in range(chance.choice([0, 0, 1, 2, 30])):
        part = chance.choice([1, leaves, chance.randrange(1, leaves + 1)])
        leaves -= part
        maker = flags | (MAKER if chance.random() < 0.5 else 0)
        events.append(event(EventKind.FILL, max(1, price - chance.randrange(50)), part, leaves, flags=maker))
        if leaves == 0:
            return events
        if chance.random() < 0.1:
            leaves = chance.randrange(1, 1 << 20)
            filled = sum(e.quantity for e in events if e.kind == EventKind.FILL)
            events.append(event(EventKind.REPLACED, price + 1, filled + leaves, leaves))
    if chance.random() < 0.3:
        reason = chance.choice([Reason.BY_CLIENT, Reason.UNFILLED_REST, Reason.FOK_NOT_FILLABLE, Reason.MASS_CANCEL])
        events.append(event(EventKind.CANCELLED, price, leaves, 0, reason=reason))
    return events


def specified(events: list[Event], tables: Tables) -> bytes:
    return msgspec.json.encode(fold(events, 3, tables))


def encoded(events: list[Event]) -> bytes:
    return b"".join(event.pack() for event in events)


def test_every_chain_gives_the_specified_order() -> None:
    fast, chance = door.DoorTables(TABLES), random.Random(11)
    for _ in range(3000):
        events = chain(chance)
        assert door.order_json(encoded(events), 3, fast) == specified(events, TABLES)


def test_usual_orders_do_not_need_the_specification() -> None:
    """The specification's own tables are taken away: what is still right was made by the fast fold."""
    source = Tables.from_json(TABLES.as_json())
    fast, chance = door.DoorTables(source), random.Random(12)
    source.instruments.clear()
    source.accounts.clear()
    for _ in range(300):
        events = [
            e._replace(price=e.price % (1 << 30), symbol=1, quantity=e.quantity % (1 << 40)) for e in chain(chance)
        ]
        assert door.order_json(encoded(events), 3, fast) == specified(events, TABLES)


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": 99}, {"account": 99}, {"account": 0}, {"text": b"\xff"}, {"text": b'a"b\\'}, {"price": -5},
        {"type": 9}, {"tif": 7}, {"side": 0},
    ],
)  # fmt: skip
def test_what_is_unusual_is_folded_by_the_specification(change: dict[str, object]) -> None:
    fast, chance = door.DoorTables(TABLES), random.Random(13)
    for _ in range(20):
        first, *rest = chain(chance)
        events = [first._replace(**change), *rest]
        assert door.order_json(encoded(events), 3, fast) == specified(events, TABLES)


def test_thousands_of_fills_fit() -> None:
    base = chain(random.Random(14))[0]
    fill = base._replace(kind=EventKind.FILL, text=b"", quantity=1, price=base.price or 7)
    events = [
        base._replace(quantity=5000, leaves=5000),
        *(fill._replace(trade=n, leaves=5000 - n) for n in range(1, 5001)),
    ]
    assert door.order_json(encoded(events), 3, door.DoorTables(TABLES)) == specified(events, TABLES)
