"""Frames on the link between an engine and everybody who talks to it (gateways, persister, tools).

A frame is a 12-byte header and a payload. The client speaks first (HELLO), the engine answers (WELCOME, or ERROR and
closes). After that, SUBMIT and QUERY frames are answered by one REPLIES or ANSWER frame with the same request id each,
in any order; one SUBMIT may be answered by several REPLIES frames, one reply per command in all. NOTICE comes unasked.
JSON payloads are UTF-8; binary payloads are the records of `engine.records`.

    HELLO    {"protocol": 1, "client": "gateway-1"}
    WELCOME  {"protocol", "partition", "epoch", "rules_version", "sequence", "halted", "instruments",
              "accounts"}
             instruments: [{"id", "symbol", "tick_size", "lot_size", "currency", "state"} ...], sizes decimal strings;
             accounts: [{"id", "account"} ...]
    SUBMIT   whole commands; each carries the client's token in its last four bytes
    REPLIES  per reply: 16 bytes (token, outcome, event count), then that many events.
             NEW: the command's own events of that order. CANCEL, REPLACE: the order's whole chain, oldest first, so
             that the answer is the order as it stands now. Refused: the REFUSED event (and, for UNKNOWN_ORDER, the
             chain of a closed order if the event log knows it, after the REFUSED event). MASS_CANCEL: the
             MASS_CANCELLED event. HALT and RESUME: their event. All only once durable.
    QUERY    {"query": NAME, ...}; ANSWER: u32 length of the JSON, the JSON, then events
      order      {"order": sequence, "end": 0 or `rest` of the answer before, "limit": n}
                 {"found": bool, "rest": end of what is older, 0 if nothing is} + the newest n of the chain's events up to
                 `end`, oldest first; all of them without a limit
      chains     {"orders": [sequence ...]}
                 {"orders": [[sequence, event count] ...]} + their chains in that order: of the first of them, as many as
                 fit into an answer; none if the first alone is too long; 0 events for one the log does not know
      client_id  {"account": id, "client_order_id": text, "only_ids": bool}
                 {"orders": [[sequence, event count] ...]} + their chains in that order; with only_ids {"orders": [sequence ...]}
      orders     {"account": id, "symbol": id, "after": sequence, "limit": n, "only_ids": bool}
                 the same, live orders only; 0 = any; with only_ids {"orders": [sequence ...]}, some may be closed by now
      book       {"symbol": id, "depth": n}
                 {"sequence", "bids": [[price, quantity, orders] ...], "asks": [...]}
      tables     {}
                 the instruments and accounts of WELCOME
      status     {}
                 counters and times, see stack/matcher/status.py
      events     {"from": ordinal, "limit": n, "wait_ms": n}
                 {"next": ordinal, "durable_sequence", "end": ordinal} + events; waits up to wait_ms while there is
                 none; whole commands only
      state      {}
                 {"sequence", "state_hash"}
    NOTICE   {"notice": "halted" | "resumed" | "tables" | "stopping"}
    ERROR    {"code", "message"}; also in reply to a bad QUERY

The binary door on TCP speaks the same frames with other words in HELLO and WELCOME, see docs/binary-session.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

PROTOCOL = 1
HEADER = struct.Struct("<IBBHI")  # payload length, type, protocol, records, request id
REPLY = struct.Struct("<IB3xII")  # token, outcome, events, spare
FRAME_BYTES_MAX = 16 << 20
ANSWER_BYTES_MAX = 256 << 20  # what a client accepts: one mass cancel of 2**20 orders is a single answer of 128 MiB


class FrameType(IntEnum):
    HELLO = 1
    WELCOME = 2
    SUBMIT = 3
    REPLIES = 4
    QUERY = 5
    ANSWER = 6
    NOTICE = 7
    ERROR = 8


class Outcome(IntEnum):
    DONE = 0  # sequenced and durable; the events say what happened, a refusal included
    REPEAT = 1  # this id and body were there before; the events are the original's
    CONFLICT = 2  # this id was there before with another body; the events are the original's
    BUSY = 3  # too much is waiting for the disk; nothing was journalled, try again
    STOPPED = 4  # the journal has failed or the engine is stopping; nothing was journalled
    FULL = 5  # no room on the disk; nothing was journalled, try again when there is
    # on the binary door only, where nobody checked a command before
    FORBIDDEN = 5  # the session may not do this for this account; nothing was journalled
    INVALID = 6  # no command that this door takes: kind, id, or a field that must be 0; nothing was journalled


class FrameError(Exception):
    """The peer does not speak our protocol; the connection is closed."""


def frame(type_: int, payload: bytes | bytearray | memoryview, *, records: int = 0, request: int = 0) -> bytes:
    return HEADER.pack(len(payload), type_, PROTOCOL, records, request) + bytes(payload)


class FrameReader:
    """Cuts a byte stream into frames. `feed` yields (type, records, request id, payload)."""

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._rest = bytearray()
        self._bytes_max = bytes_max

    def feed(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        rest = self._rest
        rest += data
        offset = 0
        try:
            while len(rest) - offset >= HEADER.size:
                length, type_, protocol, records, request = HEADER.unpack_from(rest, offset)
                if protocol != PROTOCOL or length > self._bytes_max:
                    raise FrameError(f"protocol {protocol}, frame of {length} bytes: not a frame of ours")
                end = offset + HEADER.size + length
                if len(rest) < end:
                    break
                payload = bytes(rest[offset + HEADER.size : end])
                offset = end
                yield type_, records, request, payload
        finally:
            del rest[:offset]
