"""How the reference engine says what happened: events of one command after the other, encoded."""

from __future__ import annotations

from engine.records import EVENT, Command, CommandKind, EventKind, Reason
from engine.reference_book import Order


class EventWriter:
    def __init__(self) -> None:
        self.sequence = 0  # of the running command
        self.ordinal = 0  # of the next event in the partition's stream
        self.time_ns = 0  # of the running command
        self._index = 0  # of the next event among those of the running command
        self._encoded: list[bytes] = []

    def begin(self, sequence: int, time_ns: int) -> None:
        self.sequence, self.time_ns, self._index = sequence, time_ns, 0

    def take(self) -> bytes:
        encoded, self._encoded = self._encoded, []
        return b"".join(encoded)

    def emit(
        self,
        kind: EventKind,
        *,
        order: int = 0,
        previous: int = 0,
        price: int = 0,
        quantity: int = 0,
        leaves: int = 0,
        trade: int = 0,
        account: int = 0,
        symbol: int = 0,
        side: int = 0,
        type_: int = 0,
        tif: int = 0,
        flags: int = 0,
        reason: int = Reason.NONE,
        text: bytes = b"",
    ) -> None:
        cause = (self.sequence, order, self.time_ns, previous)
        numbers = (price, quantity, leaves, trade, account, symbol, self._index)
        self._encoded.append(EVENT.pack(*cause, *numbers, kind, side, type_, tif, flags, reason, 0, text))
        self._index += 1
        self.ordinal += 1

    def report(
        self,
        order: Order,
        kind: EventKind,
        quantity: int,
        leaves: int,
        *,
        price: int | None = None,
        trade: int = 0,
        flags: int = 0,
        reason: int = Reason.NONE,
        text: bytes = b"",
    ) -> None:
        """An event of one order, chained to that order's previous one."""
        self.emit(
            kind,
            order=order.sequence,
            previous=order.last_event,
            price=order.price if price is None else price,
            quantity=quantity,
            leaves=leaves,
            trade=trade,
            account=order.account,
            symbol=order.symbol,
            side=order.side,
            type_=order.type,
            tif=order.tif,
            flags=order.flags | flags,
            reason=reason,
            text=text,
        )
        order.last_event = self.ordinal

    def refuse(self, command: Command, reason: Reason) -> None:
        names_an_order = command.kind in (CommandKind.CANCEL, CommandKind.REPLACE)
        self.emit(
            EventKind.REFUSED,
            order=command.target % 2**64 if names_an_order else 0,  # a negative target reads as the event's unsigned
            price=command.price,
            quantity=command.quantity,
            account=command.account,
            symbol=command.symbol,
            side=command.side,
            type_=command.type,
            tif=command.tif,
            flags=command.flags,
            reason=reason,
            text=command.text,
        )
