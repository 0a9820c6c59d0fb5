"""Frames of one session in plain Python: the specification for session_frames.pyx, and what runs where that is not built.

It cuts the stream into frames, takes the commands out of SUBMIT itself, and hands every other frame to the session. The
replies of a SUBMIT leave when the last of them is there, in the order of its commands, in few frames.
"""

from __future__ import annotations

import struct
from typing import Protocol

from engine.records import COMMAND_BYTES, EVENT_BYTES
from stack.matcher.partition import Partition
from stack.matcher.session_commands import Rights, checked
from stack.wire.frames import HEADER, PROTOCOL, REPLY, FrameError, FrameType, Outcome, frame
from stack.wire.session import COMMANDS_MAX, FRAME_BYTES_MAX, HELLO_BYTES_MAX, OPEN_MAX, REPLIES_BYTES

_TOKEN = struct.Struct("<I")
_TOKEN_OFFSET = COMMAND_BYTES - 4


class Owner(Protocol):
    """The session that frames belong to."""

    def frame(self, type_: int, request: int, payload: bytes) -> None:
        """Any frame but SUBMIT; raises FrameError."""

    def write(self, data: bytes) -> None: ...

    def unknown(self) -> None:
        """Nobody knows what became of a command."""


class Frames:
    implementation = "python"

    def __init__(self, owner: Owner, partition: Partition) -> None:
        self.open = 0  # commands without a reply
        self.commands = 0  # taken so far
        self.held = False  # set by the owner: nothing is taken until go_on()
        self._owner = owner
        self._partition = partition
        self._tally = partition.tally.sessions
        self._rest = bytearray()
        self._bytes_max = HELLO_BYTES_MAX
        self._rights: Rights | None = None
        self._cutting = False
        self._closed = False

    @property
    def waiting(self) -> int:
        """Bytes that came and were not taken yet."""
        return len(self._rest)

    @property
    def full(self) -> bool:
        return self.held or self.open >= OPEN_MAX

    def admit(self, account: int, operator: bool) -> None:
        """From now on commands are taken, with these rights."""
        self._rights = Rights(account, operator)
        self._bytes_max = FRAME_BYTES_MAX

    def close(self) -> None:
        """Take nothing more and write nothing more."""
        self._closed = True
        self._rest.clear()

    def feed(self, data: bytes) -> None:
        """Raises FrameError."""
        if not self._closed:
            self._rest += data
            self.go_on()

    def go_on(self) -> None:
        """Take frames until one is incomplete or no more may be taken. Raises FrameError."""
        if self._cutting:
            return
        self._cutting = True
        rest, offset = self._rest, 0
        try:
            while len(rest) - offset >= HEADER.size and not self.full and not self._closed:
                length, type_, protocol, records, request = HEADER.unpack_from(rest, offset)
                if protocol != PROTOCOL or length > self._bytes_max:
                    raise FrameError(
                        f"frame of type {type_}, protocol {protocol}, {length} bytes: not a frame of ours, or longer than "
                        f"the {self._bytes_max} bytes that are allowed here"
                    )
                end = offset + HEADER.size + length
                if len(rest) < end:
                    break
                payload = bytes(rest[offset + HEADER.size : end])
                offset = end
                if type_ == FrameType.SUBMIT:
                    self._submit(records, request, payload)
                else:
                    self._owner.frame(type_, request, payload)
        finally:
            self._cutting = False
            if not self._closed:
                del rest[:offset]

    def _submit(self, records: int, request: int, payload: bytes) -> None:
        if self._rights is None:
            raise FrameError("SUBMIT before HELLO")
        if not 1 <= records <= COMMANDS_MAX or len(payload) != records * COMMAND_BYTES:
            raise FrameError(
                f"SUBMIT of {records} commands has {len(payload)} bytes; it takes 1 to {COMMANDS_MAX} commands of "
                f"{COMMAND_BYTES} bytes each"
            )
        self.open += records
        self.commands += records
        self._tally.batches += 1
        self._tally.commands += records
        batch = _Batch(self, request, payload, records)
        for place in range(records):
            command = payload[place * COMMAND_BYTES : (place + 1) * COMMAND_BYTES]
            found = checked(command, self._rights)
            if isinstance(found, Outcome):
                batch.reply(place, found, b"")
            else:
                self._partition.submit(found, batch, place)

    def send(self, request: int, replies: list[bytes]) -> None:
        """Replies that belong together; called by their batch."""
        self.open -= len(replies)
        if not self._closed:
            self._owner.write(frame(FrameType.REPLIES, b"".join(replies), records=len(replies), request=request))

    def lost(self) -> None:
        if not self._closed:
            self._owner.unknown()


class _Batch:
    """One SUBMIT; the target of its commands' replies, whose token is their place."""

    __slots__ = ("_bytes", "_first", "_frames", "_left", "_payload", "_replies", "_request")

    def __init__(self, frames: Frames, request: int, payload: bytes, count: int) -> None:
        self._frames = frames
        self._request = request
        self._payload = payload
        self._replies = [b""] * count  # empty: not there yet
        self._left = count
        self._first = 0  # what stands before was sent
        self._bytes = 0  # of what stands there unsent

    def reply(self, place: int, outcome: int, events: bytes) -> None:
        if outcome == Outcome.CONFLICT:
            events = b""  # they may be another account's: a replace names any order
        (token,) = _TOKEN.unpack_from(self._payload, place * COMMAND_BYTES + _TOKEN_OFFSET)
        self._replies[place] = REPLY.pack(token, outcome, len(events) // EVENT_BYTES, 0) + events
        self._left -= 1
        self._bytes += REPLY.size + len(events)
        if self._left == 0 or self._bytes >= REPLIES_BYTES:
            self._send()

    def lost(self, _place: int) -> None:
        self._frames.lost()

    def _send(self) -> None:
        """All that follows without a gap, in frames of REPLIES_BYTES; a shorter one only at the end."""
        size = 0
        for place in range(self._first, len(self._replies)):
            reply = self._replies[place]
            if not reply:
                return
            size += len(reply)
            if size >= REPLIES_BYTES or place + 1 == len(self._replies):
                self._frames.send(self._request, self._replies[self._first : place + 1])
                self._replies[self._first : place + 1] = [b""] * (place + 1 - self._first)
                self._first, self._bytes, size = place + 1, self._bytes - size, 0
