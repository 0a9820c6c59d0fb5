"""The book beside the stack: the plain reference engine, given the same commands, says what every answer must be."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from engine.records import (
    PRICE_TICKS_MAX,
    QUANTITY_LOTS_MAX,
    RECORD_HEADER,
    Command,
    CommandKind,
    Event,
    EventKind,
    Instrument,
    OrderType,
    unpack_events,
)
from engine.reference import Engine
from stack.wire.decimals import NumberError, Step
from stack.wire.order import SIDES, TIMES_IN_FORCE, fold
from stack.wire.tables import Listed, Tables

COMPARED = ("status", "price", "quantity", "filled_quantity", "leaves_quantity", "average_price")


class Refused(Exception):
    """The reference refuses this."""


class ReferenceBook:
    def __init__(self, symbol: str, tick_size: str, lot_size: str, account: str) -> None:
        tick, lot = Step.parse(tick_size), Step.parse(lot_size)
        self._engine = Engine(max_live_orders=1 << 20, client_ids_max=1 << 22)
        self._listed = Listed(1, symbol, tick, lot, "USD", "open")
        self._tables = Tables([self._listed], [(1, account)])
        self._chains: dict[int, list[Event]] = defaultdict(list)
        self.fills: list[Event] = []  # of makers, by the last command
        self._apply(Instrument(1, symbol.encode(), tick.mantissa, tick.scale, lot.mantissa, lot.scale, b"USD").pack())
        self._apply(Command(CommandKind.DEFINE_ACCOUNT, account=1, text=account.encode()).pack())

    @property
    def live(self) -> int:
        return self._engine.live

    def place(self, client_order_id: str, side: str, time_in_force: str, price: str, quantity: str) -> int:
        """The order's number here; raises Refused."""
        command = Command(
            CommandKind.NEW,
            side=SIDES[side],
            type=OrderType.LIMIT,
            tif=TIMES_IN_FORCE[time_in_force],
            account=1,
            symbol=1,
            price=self._ticks(price),
            quantity=self._lots(quantity),
            text=client_order_id.encode(),
        )
        return self._done(command).order

    def cancel(self, order: int) -> None:
        self._done(Command(CommandKind.CANCEL, account=1, target=order))

    def replace(self, order: int, request_id: str, price: str, total: str) -> None:
        command = Command(
            CommandKind.REPLACE,
            account=1,
            target=order,
            price=self._ticks(price),
            quantity=self._lots(total),
            text=request_id.encode(),
        )
        self._done(command)

    def order(self, order: int) -> dict[str, Any]:
        return fold(self._chains[order], 0, self._tables)

    def fills_text(self) -> list[tuple[str, str]]:
        """Price and quantity of each fill of the last command."""
        return [(self._listed.tick.text(event.price), self._listed.lot.text(event.quantity)) for event in self.fills]

    def total_for(self, order: int, leaves: str) -> str:
        """The total quantity with which `leaves` of this order are open."""
        filled = sum(event.quantity for event in self._chains[order] if event.kind == EventKind.FILL)
        return self._listed.lot.text(filled + self._lots(leaves))

    def _ticks(self, price: str) -> int:
        return self._steps(self._listed.tick, price, PRICE_TICKS_MAX)

    def _lots(self, quantity: str) -> int:
        return self._steps(self._listed.lot, quantity, QUANTITY_LOTS_MAX)

    @staticmethod
    def _steps(step: Step, value: str, limit: int) -> int:
        try:
            return step.steps(value, limit)
        except NumberError as error:
            raise Refused(error.message) from None

    def _done(self, command: Command) -> Event:
        events = self._apply(command.pack())
        if events[0].kind == EventKind.REFUSED:
            raise Refused(f"reason {events[0].reason}")
        return events[0]

    def _apply(self, command: bytes) -> list[Event]:
        sequence = self._engine.sequence + 1
        events = unpack_events(self._engine.apply(RECORD_HEADER.pack(0, 0, 0, 0, 0, 0, sequence, sequence) + command))
        for event in events:
            if event.order and event.kind != EventKind.REFUSED:
                self._chains[event.order].append(event)
        self.fills = [event for event in events if event.kind == EventKind.FILL and event.order != sequence]
        return events


def difference(answer: dict[str, Any], expected: dict[str, Any]) -> str:
    """The first thing in which two Orders differ; empty when they agree. Numbers of matches are the stack's own."""
    for name in COMPARED:
        if answer.get(name) != expected[name]:
            return f"{name} {answer.get(name)!r}, expected {expected[name]!r}"
    fills = [
        [{k: fill[k] for k in ("price", "quantity", "liquidity")} for fill in order["fills"]]
        for order in (answer, expected)
    ]
    return "" if fills[0] == fills[1] else f"fills {fills[0]}, expected {fills[1]}"
