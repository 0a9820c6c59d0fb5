"""Events of the engine as rows of PostgreSQL's binary COPY.

`encode` and `encode_lists` are the compiled ones where there is a compiler (a tenth of the time: about 0.1 us a row); the
plain ones below are their specification, and a test compares them byte by byte.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from engine.records import EVENT, EVENT_BYTES, TEXT_BYTES, Event, EventKind

COLUMNS = [
    "sequence",
    "order_sequence",
    "time_ns",
    "price",
    "quantity",
    "leaves",
    "trade",
    "partition",
    "event_index",
    "account",
    "symbol",
    "kind",
    "side",
    "type",
    "tif",
    "flags",
    "reason",
    "text",
]
LIST_COLUMNS = ["partition", "account", "first", "last", "orders"]
LIST_ORDERS_MAX = 400  # in a row, which then stands in its page whole
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

# The layout of EVENT with every number signed: PostgreSQL has no unsigned ones, and a refused command may name any number.
_SIGNED = struct.Struct("<8q3i6BH44s")
_ACCEPTED = struct.Struct("<Q56xI8xB51x")  # sequence, account, kind
_LIST = struct.Struct(">h" + "ii" * 2 + "iq" * 2 + "i" + "iiIii")  # ends with an array's head
_PLACE = struct.Struct(">ii")
_INT4_OID = 23
_ROW = struct.Struct(">h" + "iq" * 7 + "ii" * 4 + "ih" * 6 + "i")
assert _SIGNED.size == EVENT.size  # noqa: S101
_PLAIN = bytes(range(1, 128))


def text_of(raw: bytes) -> bytes:
    """An event's text as UTF-8 that PostgreSQL takes: what is neither is written as \\xNN. Nothing may stop the stream."""
    text = raw.rstrip(b"\0")
    if not text.translate(None, _PLAIN):
        return text
    return text.decode("utf-8", "backslashreplace").replace("\0", "\\x00").encode()


def encode_plain(partition: int, events: bytes | memoryview) -> bytes:
    """The rows of encoded events; a stream is HEADER, any number of these, TRAILER."""
    rows: list[bytes] = []
    for (
        sequence, order, time_ns, _previous, price, quantity, leaves, trade, account, symbol, index,
        kind, side, type_, tif, flags, reason, _spare, raw,
    ) in _SIGNED.iter_unpack(events):  # fmt: skip
        text = text_of(raw)
        rows += (
            _ROW.pack(
                len(COLUMNS), 8, sequence, 8, order, 8, time_ns, 8, price, 8, quantity, 8, leaves, 8, trade,
                4, partition, 4, index, 4, account, 4, symbol,
                2, kind, 2, side, 2, type_, 2, tif, 2, flags, 2, reason, len(text),
            ),
            text,
        )  # fmt: skip
    return b"".join(rows)


def encode_lists_plain(partition: int, pieces: Sequence[bytes]) -> bytes:
    """Rows of `orders_of_accounts` for the events of a batch, in the order of LIST_COLUMNS; a stream like those of events."""
    accepted: dict[int, list[int]] = {}
    for piece in pieces:
        for sequence, account, kind in _ACCEPTED.iter_unpack(piece):
            if kind == EventKind.ACCEPTED:
                accepted.setdefault(account, []).append(sequence)
    rows: list[bytes] = []
    for account, sequences in sorted(accepted.items()):
        for start in range(0, len(sequences), LIST_ORDERS_MAX):
            orders = sequences[start : start + LIST_ORDERS_MAX]
            first, size = orders[0], 20 + _PLACE.size * len(orders)
            rows.append(
                _LIST.pack(
                    len(LIST_COLUMNS),
                    4,
                    partition,
                    4,
                    account,
                    8,
                    first,
                    8,
                    orders[-1],
                    size,
                    1,
                    0,
                    _INT4_OID,
                    len(orders),
                    1,
                )
            )
            rows += (_PLACE.pack(4, sequence - first) for sequence in orders)
    return b"".join(rows)


def row_of(partition: int, event: Event) -> tuple[int | str, ...]:
    """The row an event must stand as, in the order of COLUMNS."""
    fields = _SIGNED.unpack(event.pack())
    sequence, order, time_ns, _, price, quantity, leaves, trade, account, symbol, index = fields[:11]
    numbers = (sequence, order, time_ns, price, quantity, leaves, trade, partition, index, account, symbol)
    return (*numbers, *fields[11:17], text_of(fields[18]).decode())


def values_of(row: bytes) -> tuple[int | str, ...]:
    """A row as COPY writes it, in the order of COLUMNS."""
    fields = _ROW.unpack_from(row)
    return (*fields[2:-1:2], row[_ROW.size :].decode("utf-8", "backslashreplace"))


encode: Callable[[int, bytes | memoryview], bytes]
encode_lists: Callable[[int, Sequence[bytes]], bytes]
try:
    from stack.persister._rows import encode, encode_lists
except ImportError:  # no C compiler where this was installed
    encode, encode_lists = encode_plain, encode_lists_plain

assert EVENT_BYTES == 84 + TEXT_BYTES  # noqa: S101  the compiled encoder reads fixed places
