"""A small market for tests: says commands in words, keeps every event."""

from __future__ import annotations

import engine
from engine.journal import CHAIN_START, Encoder
from engine.records import (
    Command,
    CommandKind,
    Event,
    EventKind,
    Instrument,
    InstrumentState,
    OrderType,
    Reason,
    Side,
    TimeInForce,
    unpack_events,
)

BASE = 1_000_000
ANA, BEN = 1, 2
BUY, SELL = Side.BUY, Side.SELL


class Market:
    def __init__(self, implementation: str, *, max_live_orders: int = 5000, client_ids_max: int = 5000) -> None:
        self.engine = engine.create(  # type: ignore[arg-type]
            implementation, max_live_orders=max_live_orders, client_ids_max=client_ids_max
        )
        self.encoder = Encoder(1, 0, CHAIN_START)
        self.time_ns = 1000  # of the last record; each is one later than the one before
        self.events: list[Event] = []
        self.define(1)
        for account, name in ((ANA, b"ana"), (BEN, b"ben")):
            self.do(Command(CommandKind.DEFINE_ACCOUNT, account=account, text=name))

    def do(self, command: Command | bytes) -> list[Event]:
        packed = command if isinstance(command, bytes) else command.pack()
        self.time_ns += 1
        encoded = self.engine.apply(self.encoder.append(packed, self.time_ns))
        events = unpack_events(encoded)
        self.events += events
        return events

    def define(self, symbol: int, state: int = InstrumentState.OPEN, **fields: object) -> list[Event]:
        given = {"name": b"SYM%d" % symbol, "tick": 1, "tick_scale": 2, "lot": 1, "lot_scale": 0, "currency": b"USD"}
        return self.do(Instrument(symbol, state=state, **{"base_ticks": BASE, **given, **fields}).pack())  # type: ignore[arg-type]

    def order(
        self,
        side: int,
        quantity: int,
        price: int = 0,
        *,
        tif: int = TimeInForce.GTC,
        flags: int = 0,
        account: int = ANA,
        symbol: int = 1,
        text: bytes | None = None,
        extra: int = 0,
    ) -> list[Event]:
        """A limit order; without a price a market order, which cannot rest."""
        type_ = OrderType.LIMIT if price else OrderType.MARKET
        if not price and tif == TimeInForce.GTC:
            tif = TimeInForce.IOC
        text = b"c-%d" % (self.encoder.sequence + 1) if text is None else text
        return self.do(
            Command(CommandKind.NEW, side, type_, tif, flags, account, symbol, price, quantity, 0, extra, text)
        )

    def rest(self, side: int, quantity: int, price: int, **more: object) -> int:
        """Puts an order into the book and returns its name."""
        events = self.order(side, quantity, price, **more)  # type: ignore[arg-type]
        assert [event.kind for event in events] == [EventKind.ACCEPTED], events
        return events[0].order

    def cancel(self, target: int, account: int = ANA) -> list[Event]:
        return self.do(Command(CommandKind.CANCEL, account=account, target=target))

    def replace(self, target: int, quantity: int, price: int, *, account: int = ANA, text: bytes = b"") -> list[Event]:
        return self.do(
            Command(CommandKind.REPLACE, account=account, price=price, quantity=quantity, target=target, text=text)
        )

    def levels(self, symbol: int = 1) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        bids, asks = self.engine.book(symbol, 1_000_000)
        return [tuple(level) for level in bids], [tuple(level) for level in asks]


def fills(events: list[Event]) -> list[tuple[int, int, int]]:
    """(maker, price, quantity) of each match."""
    return [(e.order, e.price, e.quantity) for e in events if e.kind == EventKind.FILL and e.flags & 2]


def refusal(events: list[Event]) -> Reason:
    """Why the command was refused; fails when it was not."""
    assert [event.kind for event in events] == [EventKind.REFUSED], events
    return Reason(events[0].reason)


def kinds(events: list[Event]) -> list[EventKind]:
    return [EventKind(event.kind) for event in events]
