"""One connection at the binary door: who is there, what it may ask, and how long we wait for it.

A client says HELLO within HELLO_TIMEOUT_S and is answered with WELCOME, or with ERROR and the end. From then on `Frames` takes
its commands. Nothing is taken from a client that has OPEN_MAX commands without a reply, that does not read what it is sent, or
that asks more than QUERIES_MAX queries in one turn of the loop or has so many without an answer, as while the disk is stalled:
the rest waits in the kernel, in the client's own buffers.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any

import msgspec

from stack.keys import Caller, hashed
from stack.matcher.queries import (
    AnyQuery,
    BookQuery,
    ClientIdQuery,
    OrderQuery,
    OrdersQuery,
    TablesQuery,
    UnknownSymbol,
    decoder,
)
from stack.wire.frames import PROTOCOL, FrameError, FrameType, frame
from stack.wire.session import Hello

if TYPE_CHECKING:
    from stack.matcher.sessions import Sessions

logger = logging.getLogger(__name__)

HELLO_TIMEOUT_S = 5.0
UNSENT_BYTES_HIGH = 1 << 20  # nothing more is taken while more than this waits for the client to read
UNSENT_BYTES_MAX = 64 << 20  # what it asked for before, at the most; then it is disconnected
QUERIES_MAX = 16
KEEPALIVE_S = 30  # a peer that vanished without a word is found after about a minute
_ACCOUNT = slice(64, 68)  # of an event


class Refused(Exception):
    """The session ends with an ERROR frame."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Session(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, door: Sessions) -> None:
        self.id = door.next_id()
        self.client: str | None = None  # its name, once it said HELLO
        self.caller: Caller | None = None
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._frames = door.frames(self, door.partition)
        self._account = 0
        self._key_hash = b""
        self._up = False
        self._unread = False  # the client leaves too much unread
        self._queries = 0  # of this turn
        self._unanswered = 0  # of all turns
        self._paused = False
        self._swept_over = 0
        self._hello_timer: asyncio.TimerHandle | None = None

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's share no base class with asyncio's
        self.transport.set_write_buffer_limits(high=UNSENT_BYTES_HIGH)
        self._up = True
        _keep_alive(transport.get_extra_info("socket"))
        refusal = self._door.opened(self)
        if refusal:
            self._end(*refusal)
            return
        self._hello_timer = self._loop.call_later(HELLO_TIMEOUT_S, self._no_hello)

    def connection_lost(self, _error: Exception | None) -> None:
        self._up = False
        self._frames.close()
        if self._hello_timer is not None:
            self._hello_timer.cancel()
        self._door.closed(self)
        if self.client is not None:
            logger.info("session closed", extra={"fields": {**self._fields(), "commands": self._frames.commands}})

    def data_received(self, data: bytes) -> None:
        try:
            self._frames.feed(data)
        except FrameError as error:
            self._end("bad_frame", str(error))
        except Refused as refusal:
            self._end(refusal.code, str(refusal))
        self._look()

    def pause_writing(self) -> None:
        self._unread = True
        self._frames.held = True

    def resume_writing(self) -> None:
        self._unread = False
        self._go_on()

    # ---- how fast

    def _go_on(self) -> None:
        self._frames.held = self._unread or self._queries >= QUERIES_MAX or self._unanswered >= QUERIES_MAX
        self.data_received(b"")

    def _next_turn(self) -> None:
        self._queries = 0
        self._go_on()

    def _look(self) -> None:
        """Read from the socket exactly while frames are taken."""
        if not self._up:
            return
        if self._frames.full and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        elif self._paused and not self._frames.full:
            self._paused = False
            self.transport.resume_reading()

    def sweep(self) -> int:
        """How many sweeps in a row it has waited for its client; see stack/door/sweep.py."""
        frames = self._frames
        waits = not self._up or self._unread or (frames.waiting and not frames.open and not frames.held)
        self._swept_over = self._swept_over + 1 if waits else 0
        return self._swept_over

    # ---- frames, called by Frames

    def frame(self, type_: int, request: int, payload: bytes) -> None:
        if self.client is None:
            self._hello(type_, payload)
        elif type_ == FrameType.QUERY:
            self._query(request, payload)
        else:
            raise FrameError(f"frame type {type_} is not for an engine")

    def write(self, data: bytes) -> None:
        self._send(data)
        if self._paused and not self._frames.full:
            self._go_on()

    def unknown(self) -> None:
        self.abort("a command's outcome is unknown")

    # ---- HELLO

    def _hello(self, type_: int, payload: bytes) -> None:
        if type_ != FrameType.HELLO:
            raise FrameError(f"frame type {type_} before HELLO")
        try:
            hello = msgspec.json.decode(payload, type=Hello)
        except msgspec.DecodeError as error:
            raise Refused("bad_hello", f"HELLO: {error}") from None
        if hello.protocol != PROTOCOL:
            raise Refused("wrong_protocol", f"the client speaks protocol {hello.protocol}, this engine {PROTOCOL}")
        key = (hello.key or "").encode()
        caller = self._door.caller(key)
        if caller is None:
            raise Refused("unauthorized", "no such API key" if key else "HELLO carries no API key, and one is needed")
        account = 0
        if caller.account is not None:
            account = self._door.partition.tables.account_ids.get(caller.account, 0)
            if account == 0:
                raise Refused(
                    "unknown_account", f"the key's account {caller.account} is not defined in this deployment"
                )
        self.client, self.caller, self._account = hello.client[:64], caller, account
        self._key_hash = hashed(key)
        if self._hello_timer is not None:
            self._hello_timer.cancel()
        self._frames.admit(account, caller.operator)
        self._door.tally.opened += 1
        self._say(FrameType.WELCOME, self._door.welcome(self.id, caller, account))
        peer = self.transport.get_extra_info("peername")
        logger.info("session opened", extra={"fields": {**self._fields(), "peer": str(peer)}})

    def _no_hello(self) -> None:
        if self.client is None:
            self._end("no_hello", f"no HELLO within {HELLO_TIMEOUT_S:g} s")

    def check_key(self) -> None:
        """After the API keys were read again: a session goes on only as who it was."""
        if self.client is not None and self._door.caller_hashed(self._key_hash) != self.caller:
            self._end("key_revoked", "this API key was removed or changed; outcomes without a reply are unknown here")

    # ---- QUERY

    def _query(self, request: int, payload: bytes) -> None:
        self._queries += 1
        if self._queries == 1:
            self._loop.call_soon(self._next_turn)
        self._unanswered += 1
        if self._queries >= QUERIES_MAX or self._unanswered >= QUERIES_MAX:
            self._frames.held = True

        def answered(document: dict[str, Any], events: bytes) -> None:
            self._has_answer()
            text = msgspec.json.encode(document)
            self._send(frame(FrameType.ANSWER, len(text).to_bytes(4, "little") + text + events, request=request))

        def own(document: dict[str, Any], events: bytes) -> None:
            """An order, if the session may see it; else there is none."""
            if events and not self._may_see(int.from_bytes(events[_ACCOUNT], "little")):
                document, events = {"found": False}, b""
            answered(document, events)

        def lost() -> None:
            refused("stopped", "the engine is stopping")

        def refused(code: str, message: str) -> None:
            self._has_answer()
            self._error(code, message, request)

        try:
            query = decoder.decode(payload)
            if isinstance(query, TablesQuery):
                answered(self._door.tables(self._account).as_json(), b"")
            else:
                self._door.queries.ask(self._allowed(query), own if isinstance(query, OrderQuery) else answered, lost)
        except msgspec.DecodeError as error:
            refused("bad_query", str(error))
        except UnknownSymbol as error:
            refused("unknown_symbol", str(error))
        except PermissionError as error:
            refused("not_allowed", str(error))

    def _has_answer(self) -> None:
        self._unanswered -= 1
        if self._unanswered == QUERIES_MAX - 1:
            self._loop.call_soon(self._go_on)

    def _allowed(self, query: AnyQuery) -> AnyQuery:
        if isinstance(query, OrderQuery | BookQuery):
            return query
        if isinstance(query, ClientIdQuery | OrdersQuery):
            if query.account == 0 and self._account:
                return msgspec.structs.replace(query, account=self._account)
            if self._may_see(query.account):
                return query
            raise PermissionError("this API key is for another account")
        raise PermissionError(
            "ask this over the link or the admin socket: tables, order, client_id, orders, book are asked here"
        )

    def _may_see(self, account: int) -> bool:
        assert self.caller is not None  # noqa: S101  set with the client
        return self.caller.operator or account == self._account

    # ---- out

    def notice(self, notice: str) -> None:
        if self.client is not None:
            self._say(FrameType.NOTICE, {"notice": notice})

    def _error(self, code: str, message: str, request: int = 0) -> None:
        self._say(FrameType.ERROR, {"code": code, "message": message}, request)

    def _say(self, type_: FrameType, document: object, request: int = 0) -> None:
        self._send(frame(type_, msgspec.json.encode(document), request=request))

    def _send(self, data: bytes) -> None:
        if not self._up:
            return
        unsent = self.transport.get_write_buffer_size()
        if unsent > UNSENT_BYTES_MAX:
            self.abort(f"it left {unsent} bytes unread")
        else:
            self.transport.write(data)

    def _end(self, code: str, message: str) -> None:
        """Say why, and close when that was read."""
        if self._up:
            logger.warning("session refused: %s", message, extra={"fields": {**self._fields(), "code": code}})
            self._door.tally.refused[code] += 1
            self._frames.close()
            self._error(code, message)
            self._up = False
            self.transport.close()

    def leave(self) -> None:
        """The engine stops; every command was answered."""
        self.notice("stopping")
        if self._up:
            self._frames.close()
            self.transport.close()

    def abort(self, why: str = "it neither finishes a frame nor reads what it is sent") -> None:
        if self._up:
            logger.warning("session cut: %s", why, extra={"fields": self._fields()})
            self._door.tally.cut += 1
        self._up = False
        self._frames.close()
        self.transport.abort()

    def _fields(self) -> dict[str, object]:
        caller = self.caller
        about = {"role": caller.role, "account": caller.account} if caller is not None else {}
        return {"session": self.id, "client": self.client, **about}


def _keep_alive(connection: socket.socket | None) -> None:
    if connection is None or connection.family == socket.AF_UNIX:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if hasattr(socket, name):
            connection.setsockopt(
                socket.IPPROTO_TCP, getattr(socket, name), KEEPALIVE_S // (1 if "IDLE" in name else 3)
            )
