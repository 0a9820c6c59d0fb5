"""The engine's end of the link: frames in, commands and queries to the partition, replies out in few writes.

A peer that does not speak the protocol is told why and disconnected; so is one that does not read what it is sent: at most
UNREAD_BYTES_MAX wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any

import msgspec

from engine.records import COMMAND_BYTES, EVENT_BYTES, RULES_VERSION, CommandKind
from stack.matcher.long_polls import LongPolls, TooManyPolls
from stack.matcher.partition import Partition
from stack.matcher.queries import EventsQuery, Queries, UnknownSymbol, decoder
from stack.wire.frames import PROTOCOL, REPLY, FrameError, FrameReader, FrameType, frame

try:
    from stack.matcher import packed
except ImportError:  # no compiler: commands are submitted one by one
    packed = None

logger = logging.getLogger(__name__)

UNREAD_BYTES_MAX = 64 << 20
HELLO_TIMEOUT_S = 5.0
_REPLIES_PER_FRAME = 65_535
_REPLY_BYTES_PER_FRAME = 8 << 20
_TOKEN = struct.Struct("<I")
_TOKEN_OFFSET = COMMAND_BYTES - 4
_IN_BATCHES = bytes((CommandKind.NEW, CommandKind.CANCEL, CommandKind.REPLACE))
_BATCH_BYTES = 4096 * COMMAND_BYTES  # their replies fit into one frame
# Definitions come from the settings and rolls from the partition itself; nobody else may send them.
_NOT_FROM_OUTSIDE = frozenset(
    (int(CommandKind.DEFINE_INSTRUMENT), int(CommandKind.DEFINE_ACCOUNT), int(CommandKind.ROLL_CLIENT_IDS))
)


class Hello(msgspec.Struct, frozen=True):
    protocol: int
    client: str


class LinkServer:
    """What all connections share."""

    def __init__(self, partition: Partition, started_ns: int) -> None:
        self.partition = partition
        self.queries = Queries(partition, started_ns)
        self.polls = LongPolls(partition)
        self.connections: set[LinkConnection] = set()
        self._last_gone: asyncio.Future[None] | None = None
        partition.on_notice = self.notice

    def protocol(self) -> LinkConnection:
        return LinkConnection(self)

    def welcome(self) -> dict[str, Any]:
        partition = self.partition
        return {
            "protocol": PROTOCOL,
            "partition": partition.number,
            "epoch": partition.epoch,
            "rules_version": RULES_VERSION,
            "sequence": partition.durable_sequence,
            "halted": partition.halted,
            **partition.tables.as_json(),
        }

    def notice(self, notice: str) -> None:
        for connection in self.connections:
            if connection.client is not None:
                connection.send(FrameType.NOTICE, msgspec.json.encode({"notice": notice}))

    async def close(self, timeout_s: float) -> None:
        """Say that we stop; what was written still leaves, if it is read in time."""
        self.notice("stopping")
        self.polls.close()
        for connection in self.connections:
            connection.transport.close()
        if self.connections:
            self._last_gone = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._last_gone], timeout=timeout_s)

    def gone(self, connection: LinkConnection) -> None:
        self.connections.discard(connection)
        if self._last_gone is not None and not self.connections and not self._last_gone.done():
            self._last_gone.set_result(None)


class LinkConnection(asyncio.Protocol):
    """One client; the target of its commands' replies."""

    transport: asyncio.Transport

    def __init__(self, server: LinkServer) -> None:
        self._server = server
        self._partition = server.partition
        self._reader = FrameReader()
        self.client: str | None = None  # its name, once it said HELLO
        self._hello_timer: asyncio.TimerHandle | None = None
        self._replies: list[bytes] = []  # for one frame
        self._reply_count = 0
        self._reply_bytes = 0
        self._reply_request = 0
        self._reading = False  # inside data_received: it writes at its end
        self._open = False

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's share no base class with asyncio's
        self._open = True
        self._server.connections.add(self)
        self._hello_timer = asyncio.get_running_loop().call_later(HELLO_TIMEOUT_S, self._no_hello)

    def connection_lost(self, _error: Exception | None) -> None:
        self._open = False
        self._server.gone(self)
        self._server.polls.forget(self)
        if self._hello_timer is not None:
            self._hello_timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._reading = True
        try:
            for type_, records, request, payload in self._reader.feed(data):
                self._frame(type_, records, request, payload)
                if not self._open:
                    break
        except FrameError as error:
            self._refuse("bad_frame", str(error))
        finally:
            self._reading = False
            self._write_replies()

    # ---- in

    def _frame(self, type_: int, records: int, request: int, payload: bytes) -> None:
        if self.client is None:
            self._hello(type_, payload)
        elif type_ == FrameType.SUBMIT:
            self._submit(records, request, payload)
        elif type_ == FrameType.QUERY:
            self._query(request, payload)
        else:
            raise FrameError(f"frame type {type_} is not for an engine")

    def _hello(self, type_: int, payload: bytes) -> None:
        if type_ != FrameType.HELLO:
            raise FrameError(f"frame type {type_} before HELLO")
        try:
            hello = msgspec.json.decode(payload, type=Hello)
        except msgspec.DecodeError as error:
            raise FrameError(f"HELLO: {error}") from None
        if hello.protocol != PROTOCOL:
            raise FrameError(f"the client speaks protocol {hello.protocol}, this engine {PROTOCOL}")
        self.client = hello.client[:64]
        if self._hello_timer is not None:
            self._hello_timer.cancel()
        self.send(FrameType.WELCOME, msgspec.json.encode(self._server.welcome()))
        logger.info("link opened", extra={"fields": {"client": self.client}})

    def _submit(self, records: int, request: int, payload: bytes) -> None:
        if len(payload) != records * COMMAND_BYTES:
            raise FrameError(f"SUBMIT of {records} commands has {len(payload)} bytes")
        if self._partition.intake is not None and not payload[::COMMAND_BYTES].translate(None, _IN_BATCHES):
            for start in range(0, len(payload), _BATCH_BYTES):
                packed.submit(self._partition.intake, payload[start : start + _BATCH_BYTES], self, request << 32)
            return
        submit, high = self._partition.submit, request << 32
        for start in range(0, len(payload), COMMAND_BYTES):
            if payload[start] in _NOT_FROM_OUTSIDE:
                raise FrameError(f"command kind {payload[start]} is not taken over the link")
            (token,) = _TOKEN.unpack_from(payload, start + _TOKEN_OFFSET)
            submit(payload[start : start + COMMAND_BYTES], self, high | token)

    def _query(self, request: int, payload: bytes) -> None:
        def answered(document: dict[str, Any], events: bytes) -> None:
            text = msgspec.json.encode(document)
            self.send(FrameType.ANSWER, len(text).to_bytes(4, "little") + text + events, request=request)

        def lost() -> None:
            self._error("stopped", "the engine is stopping", request)

        try:
            query = decoder.decode(payload)
            if isinstance(query, EventsQuery):
                self._server.polls.ask(query, answered, self)
            else:
                self._server.queries.ask(query, answered, lost)
        except msgspec.DecodeError as error:
            self._error("bad_query", str(error), request)
        except UnknownSymbol as error:
            self._error("unknown_symbol", str(error), request)
        except TooManyPolls as error:
            self._error("too_many_polls", str(error), request)

    # ---- out: the partition's ReplyTarget

    def reply(self, token: int, outcome: int, events: bytes) -> None:
        request = token >> 32
        if not self._replies:
            self._reply_request = request
            if not self._reading:
                self._partition.after_release(self._write_replies)
        elif (
            request != self._reply_request
            or self._reply_count == _REPLIES_PER_FRAME
            or self._reply_bytes > _REPLY_BYTES_PER_FRAME
        ):
            self._write_replies()
            self._reply_request = request
            if not self._reading:
                self._partition.after_release(self._write_replies)
        self._replies.append(REPLY.pack(token & 0xFFFFFFFF, outcome, len(events) // EVENT_BYTES, 0))
        self._replies.append(events)
        self._reply_count += 1
        self._reply_bytes += len(events)

    def replies(self, token: int, count: int, payload: bytes) -> None:
        """To a whole batch; after what was to be said before it."""
        self._write_replies()
        self.send(FrameType.REPLIES, payload, records=count, request=token >> 32)

    def lost(self, _token: int) -> None:
        """Whoever loses the connection knows that the outcome of what was sent is unknown."""
        self._replies.clear()
        self._abort("a command's outcome is unknown")

    def _write_replies(self) -> None:
        if self._replies:
            payload, count = b"".join(self._replies), self._reply_count
            self._replies.clear()
            self._reply_count = self._reply_bytes = 0
            self.send(FrameType.REPLIES, payload, records=count, request=self._reply_request)

    def send(self, type_: FrameType, payload: bytes, *, records: int = 0, request: int = 0) -> None:
        if not self._open:
            return
        unread = self.transport.get_write_buffer_size()
        if unread > UNREAD_BYTES_MAX:
            self._abort(f"it left {unread} bytes unread")
            return
        self.transport.write(frame(type_, payload, records=records, request=request))

    def _error(self, code: str, message: str, request: int = 0) -> None:
        self.send(FrameType.ERROR, msgspec.json.encode({"code": code, "message": message}), request=request)

    def _refuse(self, code: str, message: str) -> None:
        logger.warning("link refused: %s", message, extra={"fields": {"client": self.client}})
        self._write_replies()
        self._error(code, message)
        self._open = False
        self.transport.close()

    def _no_hello(self) -> None:
        if self.client is None and self._open:
            self._refuse("no_hello", f"no HELLO within {HELLO_TIMEOUT_S:g} s")

    def _abort(self, why: str) -> None:
        if self._open:
            logger.warning("link closed: %s", why, extra={"fields": {"client": self.client}})
            self._open = False
            self.transport.abort()
