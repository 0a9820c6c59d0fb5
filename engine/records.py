"""Binary layout of commands, journal records and events. Everything is little endian and fixed width.

One layout for the wire, the journal, the event log and both engines, so that nothing is converted on the way.

    Command   96 bytes   what somebody asks for; the last four bytes carry a token on the wire and are 0 in the journal
    Record   144 bytes   48 bytes of journal header + the command; sequence and time belong to the engine's input
    Event    128 bytes   what happened, one report for one order (a match makes two: maker first, then taker)

An event's *ordinal* is its place in the partition's event stream, counted from 0. Because events have one width, the
ordinal is also the address in the event log; `previous` chains the events of one order backwards.

`records.h` states the same layout for C; a test compares the two.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

COMMAND_BYTES = 96
RECORD_BYTES = 144
RECORD_COMMAND_OFFSET = 48
EVENT_BYTES = 128
TEXT_BYTES = 44

# kind side type tif | flags text_length spare(2) | account symbol | price quantity target extra | text | token
COMMAND = struct.Struct("<BBBBBBHIIqqqQ44sI")
# kind tick_scale lot_scale state | spare name_length spare(2) | spare symbol
# | tick lot base_ticks | currency | name | token
INSTRUMENT = struct.Struct("<BBBBBBHIIqqq8s44sI")
# length crc epoch flags | chain events_hash | sequence time_ns
RECORD_HEADER = struct.Struct("<IIIIQQQQ")
# sequence order time_ns previous | price quantity leaves | trade | account symbol index
# | kind side type tif flags reason | spare | text
EVENT = struct.Struct("<QQQQqqqQIIIBBBBBBH44s")

assert COMMAND.size == INSTRUMENT.size == COMMAND_BYTES
assert RECORD_HEADER.size == RECORD_COMMAND_OFFSET
assert EVENT.size == EVENT_BYTES

RULES_VERSION = (
    3  # that this engine knows; a journal begins under rules 1, ADOPT_RULES raises them (docs/decisions/0013)
)

PRICE_TICKS_MAX = 1 << 40
QUANTITY_LOTS_MAX = 1 << 53
DAY_NS = 86_400 * 10**9
EXPIRES_NS_MAX = (1 << 63) - 1


class CommandKind(IntEnum):
    NEW = 1
    CANCEL = 2
    REPLACE = 3
    MASS_CANCEL = 4
    HALT = 5
    RESUME = 6
    DEFINE_INSTRUMENT = 7
    DEFINE_ACCOUNT = 8
    ROLL_CLIENT_IDS = 9
    ADOPT_RULES = 10  # rules 2; `quantity` is the version
    EXPIRE = 11  # rules 3


class Side(IntEnum):
    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    LIMIT = 1
    MARKET = 2


class TimeInForce(IntEnum):
    GTC = 1
    IOC = 2
    FOK = 3
    DAY = 4  # rules 3: until the UTC day of its acceptance ends
    GTT = 5  # rules 3: until a time


class InstrumentState(IntEnum):
    OPEN = 1
    HALTED = 2


POST_ONLY = 1  # flag of commands and events
MAKER = 2  # flag of FILL events: this order was resting
# Rules 2, flags of commands and events: what goes when this order would meet one of its own account. Neither: they trade.
CANCEL_NEWEST = 4  # this order
CANCEL_OLDEST = 8  # the one that rests
SELF_TRADE_FLAGS = CANCEL_NEWEST | CANCEL_OLDEST

FIRST_OF_GROUP = 1  # flag of records: the first record of a group commit; events_hash is meaningful
UNSYNCED_SHIFT = 1  # the flags' upper bits: how many records before this one were not known to be synced yet
UNSYNCED_MAX = (1 << 31) - 1


class EventKind(IntEnum):
    ACCEPTED = 1
    FILL = 2
    CANCELLED = 3
    REPLACED = 4
    REFUSED = 5
    HALTED = 6
    RESUMED = 7
    INSTRUMENT_DEFINED = 8
    ACCOUNT_DEFINED = 9
    CLIENT_IDS_ROLLED = 10
    MASS_CANCELLED = 11
    RULES_ADOPTED = 12
    ORDERS_EXPIRED = 13


class Reason(IntEnum):
    """Why an order was refused or cancelled. Numbers are stable: they stand in journals and databases."""

    NONE = 0
    # refusals
    HALTED = 1
    UNKNOWN_ACCOUNT = 2
    UNKNOWN_SYMBOL = 3
    INSTRUMENT_HALTED = 4
    BAD_FIELD = 5
    BAD_QUANTITY = 6
    BAD_PRICE = 7
    DUPLICATE_CLIENT_ORDER_ID = 8
    UNKNOWN_ORDER = 9
    NOT_OWNER = 10
    POST_ONLY_WOULD_CROSS = 11
    BOOK_FULL = 12
    TOO_MANY_FAR_LEVELS = 13
    BAD_EXPIRY = 14
    # cancellations
    BY_CLIENT = 64
    UNFILLED_REST = 65  # what an IOC or market order could not fill
    FOK_NOT_FILLABLE = 66
    MASS_CANCEL = 67
    SELF_TRADE = 68  # it would have met an order of its own account
    EXPIRED = 69


class Command(NamedTuple):
    kind: int
    side: int = 0
    type: int = 0
    tif: int = 0
    flags: int = 0
    account: int = 0
    symbol: int = 0
    price: int = 0  # ticks
    quantity: int = 0  # lots; of a replace: the new total, fills included
    target: int = 0  # sequence of the order that a cancel or replace names
    extra: int = 0  # of a NEW with GTT: when it ends, in nanoseconds since 1970
    text: bytes = b""  # client_order_id of NEW, request_id of REPLACE, why of HALT and RESUME, name of an account

    def pack(self, token: int = 0) -> bytes:
        return COMMAND.pack(
            self.kind,
            self.side,
            self.type,
            self.tif,
            self.flags,
            len(self.text),
            0,
            self.account,
            self.symbol,
            self.price,
            self.quantity,
            self.target,
            self.extra,
            self.text,
            token,
        )

    @classmethod
    def unpack(cls, data: bytes | bytearray | memoryview, offset: int = 0) -> Command:
        (kind, side, type_, tif, flags, length, _, account, symbol, price, quantity, target, extra, text, _token) = (
            COMMAND.unpack_from(data, offset)
        )
        return cls(kind, side, type_, tif, flags, account, symbol, price, quantity, target, extra, text[:length])


class Instrument(NamedTuple):
    """tick_size = tick * 10**-tick_scale, lot_size = lot * 10**-lot_scale."""

    symbol: int  # interned id, 1, 2, 3 ... in the order of definition
    name: bytes
    tick: int
    tick_scale: int
    lot: int
    lot_scale: int
    currency: bytes
    state: int = InstrumentState.OPEN
    base_ticks: int = 0  # lowest tick of the book's dense window

    def pack(self) -> bytes:
        return INSTRUMENT.pack(
            CommandKind.DEFINE_INSTRUMENT,
            self.tick_scale,
            self.lot_scale,
            self.state,
            0,
            len(self.name),
            0,
            0,
            self.symbol,
            self.tick,
            self.lot,
            self.base_ticks,
            self.currency,
            self.name,
            0,
        )


class Event(NamedTuple):
    sequence: int  # of the command that caused it
    order: int  # sequence of the order's NEW command; 0 when it concerns no order
    time_ns: int
    previous: int  # 1 + ordinal of this order's previous event; 0 for its first
    price: int  # ticks; of a FILL: the maker's price
    quantity: (
        int  # lots: ordered, filled or cancelled by this event; of MASS_CANCELLED and ORDERS_EXPIRED: how many orders
    )
    leaves: int  # lots open after this event
    trade: int  # number of the match, the same for maker and taker, 1, 2, 3 ... per partition; of ACCEPTED: when it ends by the clock
    account: int
    symbol: int
    index: int  # place among the events of the same command, from 0
    kind: int
    side: int = 0
    type: int = 0
    tif: int = 0
    flags: int = 0
    reason: int = 0
    text: bytes = (
        b""  # client_order_id of ACCEPTED and of a REFUSED NEW; why of HALTED and RESUMED; name of definitions
    )

    def pack(self) -> bytes:
        return EVENT.pack(*self[:17], 0, self.text)

    @classmethod
    def unpack(cls, data: bytes | bytearray | memoryview, offset: int = 0) -> Event:
        fields = EVENT.unpack_from(data, offset)
        return cls(*fields[:17], fields[18].rstrip(b"\0"))


def unpack_events(data: bytes | bytearray | memoryview) -> list[Event]:
    return [Event.unpack(data, offset) for offset in range(0, len(data), EVENT_BYTES)]
