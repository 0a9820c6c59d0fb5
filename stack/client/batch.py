"""Commands that go out together, written straight into the bytes that are sent."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engine.records import COMMAND, COMMAND_BYTES, POST_ONLY, Command, CommandKind, OrderType, TimeInForce
from stack.wire.session import COMMANDS_MAX

# The fields of a NEW from its kind to its quantity, then the id; what lies in between stays 0.
_NEW = struct.Struct("<BBBBBBHIIqq8xQ44s")
_KIND, _LIMIT, _MARKET = int(CommandKind.NEW), int(OrderType.LIMIT), int(OrderType.MARKET)
_GTC, _IOC = int(TimeInForce.GTC), int(TimeInForce.IOC)


class Batch:
    """Up to COMMANDS_MAX commands. Prices are ticks and quantities lots; account 0 is the session's own.

    `clear()` and filling it again costs less than a new one. What was submitted is copied: it may be changed at once.
    """

    __slots__ = ("_data", "_used")

    def __init__(self, commands_max: int = COMMANDS_MAX) -> None:
        self._data = bytearray(commands_max * COMMAND_BYTES)
        self._used = 0

    def __len__(self) -> int:
        return self._used // COMMAND_BYTES

    def __bytes__(self) -> bytes:
        return bytes(memoryview(self._data)[: self._used])

    def clear(self) -> None:
        self._used = 0

    def limit(
        self,
        client_order_id: bytes,
        symbol: int,
        side: int,
        price_ticks: int,
        quantity_lots: int,
        *,
        tif: int = _GTC,
        post_only: bool = False,
        expires_ns: int = 0,
        self_trade: int = 0,
        account: int = 0,
    ) -> None:
        """`expires_ns`: for GTT. `self_trade`: CANCEL_NEWEST, CANCEL_OLDEST of engine.records, or both. Raises struct.error when
        the batch is full or a number does not fit."""
        flags = self_trade | POST_ONLY if post_only else self_trade
        _NEW.pack_into(
            self._data, self._used, _KIND, side, _LIMIT, tif, flags, len(client_order_id), 0, account, symbol, price_ticks,
            quantity_lots, expires_ns, client_order_id,
        )  # fmt: skip
        self._used += COMMAND_BYTES

    def market(
        self,
        client_order_id: bytes,
        symbol: int,
        side: int,
        quantity_lots: int,
        *,
        tif: int = _IOC,
        self_trade: int = 0,
        account: int = 0,
    ) -> None:
        _NEW.pack_into(
            self._data, self._used, _KIND, side, _MARKET, tif, self_trade, len(client_order_id), 0, account, symbol, 0,
            quantity_lots, 0, client_order_id,
        )  # fmt: skip
        self._used += COMMAND_BYTES

    def cancel(self, order: int, *, account: int = 0) -> None:
        """`order` is its sequence: what stands behind the hyphen of an order_id."""
        self.add(Command(CommandKind.CANCEL, account=account, target=order))

    def replace(self, request_id: bytes, order: int, price_ticks: int, quantity_lots: int, *, account: int = 0) -> None:
        """`quantity_lots` is the new total, what is filled included."""
        self.add(
            Command(
                CommandKind.REPLACE,
                account=account,
                price=price_ticks,
                quantity=quantity_lots,
                target=order,
                text=request_id,
            )
        )

    def mass_cancel(self, *, symbol: int = 0, account: int = 0) -> None:
        """All open orders of the account, of one symbol or of all."""
        self.add(Command(CommandKind.MASS_CANCEL, account=account, symbol=symbol))

    def add(self, command: Command) -> None:
        COMMAND.pack_into(
            self._data, self._used, *command[:5], len(command.text), 0, *command[5:11], command.text, 0,
        )  # fmt: skip
        self._used += COMMAND_BYTES


def commands(data: bytes) -> Iterator[Command]:
    """What is in a batch's bytes."""
    for offset in range(0, len(data), COMMAND_BYTES):
        yield Command.unpack(data, offset)
