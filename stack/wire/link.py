"""The client's end of the link to one engine: for gateways, persisters and tools.

`submit` never waits: it returns a future, and all commands of one event-loop turn leave in one write. The link connects
in the background and again after every loss, backing off up to RETRY_MAX_S. When the connection breaks, every open
future fails with LinkLost:

    sent=False  the command never left this process: it may be sent again without a thought
    sent=True   the outcome is unknown; sent again with the same id it is answered as a repeat, if it was taken

A query waits while QUERIES_MAX are without an answer, those that nobody waits for any more among them.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from engine.records import COMMAND_BYTES, EVENT_BYTES, Event, unpack_events
from stack.wire.frames import ANSWER_BYTES_MAX, PROTOCOL, REPLY, FrameError, FrameReader, FrameType, Outcome, frame
from stack.wire.tables import Tables

logger = logging.getLogger(__name__)

RETRY_MIN_S = 0.01
RETRY_MAX_S = 0.5
WELCOME_TIMEOUT_S = 30.0  # an engine that replays a long journal answers late
FRAME_COMMANDS_MAX = 65_535
QUERIES_MAX = 256  # in flight on one connection; an engine holds an answer until the disk has what it may have seen
_TOKEN_OFFSET = COMMAND_BYTES - 4


class LinkLost(Exception):
    """The connection to the engine is gone; `sent` tells whether the outcome is unknown."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class QueryRefused(Exception):
    """The engine answered a query with an ERROR frame."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Reply(NamedTuple):
    outcome: Outcome
    data: bytes  # whole events, encoded

    @property
    def events(self) -> list[Event]:
        return unpack_events(self.data)


class Answer(NamedTuple):
    document: dict[str, Any]
    data: bytes  # whole events, encoded

    @property
    def events(self) -> list[Event]:
        return unpack_events(self.data)


class Welcome(NamedTuple):
    partition: int
    epoch: int
    rules_version: int
    sequence: int
    halted: bool
    tables: Tables


def _ignore(_value: object) -> None:
    return


class Link:
    """`address` is a path (Unix socket) or `host:port`. `async with Link(...) as link`, or `start()` and `close()`."""

    def __init__(
        self,
        address: str,
        client: str,
        *,
        on_welcome: Callable[[Welcome], object] = _ignore,
        on_notice: Callable[[str], object] = _ignore,
    ) -> None:
        self.address = address
        self.client = client
        self.welcome: Welcome | None = None  # of the newest connection; stays while disconnected
        self.tables = Tables()  # follows NOTICE "tables"
        self._on_welcome = on_welcome
        self._on_notice = on_notice
        self._protocol: _Protocol | None = None
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._refresh: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Link:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    @property
    def pending(self) -> int:
        """Commands and queries without an answer so far."""
        return self._protocol.pending if self._protocol else 0

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_connected(), name=f"link {self.address}")

    async def close(self) -> None:
        for task in (self._task, self._refresh):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._task = self._refresh = None
        if self._protocol is not None:
            self._protocol.transport.close()
            self._lost(self._protocol, "the link was closed")
        await asyncio.sleep(0)  # lets the transport close its socket

    async def wait_connected(self, timeout_s: float | None = None) -> Welcome:
        """Raises TimeoutError."""
        await asyncio.wait_for(self._connected.wait(), timeout_s)
        assert self.welcome is not None  # noqa: S101  set before the event
        return self.welcome

    def submit(self, command: bytes | bytearray) -> asyncio.Future[Reply]:
        """Send one encoded command; its token is overwritten. The future fails with LinkLost."""
        if len(command) != COMMAND_BYTES:
            raise ValueError(f"a command has {COMMAND_BYTES} bytes, not {len(command)}")
        if self._protocol is None:
            return self._failed()
        return self._protocol.submit(command)

    async def query(self, name: str, **fields: object) -> Answer:
        """Raises LinkLost and QueryRefused."""
        if self._protocol is None:
            raise LinkLost(f"not connected to the engine at {self.address}", sent=False)
        return await self._protocol.query({"query": name, **fields})

    def _failed(self) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(LinkLost(f"not connected to the engine at {self.address}", sent=False))
        return future

    async def _keep_connected(self) -> None:
        pause_s = RETRY_MIN_S
        loop = asyncio.get_running_loop()
        while True:
            protocol = _Protocol(self)
            try:
                if is_path(self.address):
                    await loop.create_unix_connection(lambda p=protocol: p, self.address)  # type: ignore[misc]
                else:
                    host, _, port = self.address.rpartition(":")
                    await loop.create_connection(lambda p=protocol: p, host, int(port))  # type: ignore[misc]
                async with asyncio.timeout(WELCOME_TIMEOUT_S):
                    welcome = await protocol.welcome
            except asyncio.CancelledError:
                if protocol.transport is not None:
                    protocol.transport.abort()
                raise
            except (OSError, TimeoutError, LinkLost) as error:
                if protocol.transport is not None:
                    protocol.transport.abort()
                logger.debug("no link to the engine at %s: %s", self.address, error or type(error).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_MAX_S)
                continue
            pause_s = RETRY_MIN_S
            if protocol.closed.done():
                continue
            self.welcome, self.tables, self._protocol = welcome, welcome.tables, protocol
            self._connected.set()
            self._on_welcome(welcome)
            await protocol.closed

    def _lost(self, protocol: _Protocol, why: str) -> None:
        if self._protocol is protocol:
            self._protocol = None
            self._connected.clear()
        protocol.fail_all(f"the link to the engine at {self.address} broke: {why}")

    def _noticed(self, notice: str) -> None:
        if notice == "tables":
            self._refresh = asyncio.get_running_loop().create_task(self._refresh_tables())
        elif self.welcome is not None and notice in ("halted", "resumed"):
            self.welcome = self.welcome._replace(halted=notice == "halted")
        self._on_notice(notice)

    async def _refresh_tables(self) -> None:
        try:
            self.tables = Tables.from_json((await self.query("tables")).document)
        except LinkLost:
            return  # the next WELCOME carries them


class _Protocol(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport = None  # type: ignore[assignment]  # set when connected

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(ANSWER_BYTES_MAX)
        self._tokens = itertools.count()
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._queries: dict[int, asyncio.Future[Answer]] = {}  # without an answer, whether anybody still waits or not
        self._places = asyncio.Semaphore(QUERIES_MAX)
        self._unsent: list[bytes | bytearray | memoryview] = []  # this turn's commands
        self._unsent_tokens: set[int] = set()
        self.welcome: asyncio.Future[Welcome] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def pending(self) -> int:
        return len(self._waiting) + len(self._queries)

    def submit(self, command: bytes | bytearray) -> asyncio.Future[Reply]:
        token = next(self._tokens) & 0xFFFFFFFF
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting[token] = future
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(bytes(command[:_TOKEN_OFFSET]) + token.to_bytes(4, "little"))
        self._unsent_tokens.add(token)
        return future

    def _flush(self) -> None:
        if self.closed.done():
            return
        unsent, self._unsent = self._unsent, []
        for start in range(0, len(unsent), FRAME_COMMANDS_MAX):
            part = unsent[start : start + FRAME_COMMANDS_MAX]
            self.transport.write(frame(FrameType.SUBMIT, b"".join(part), records=len(part)))
        self._unsent_tokens.clear()

    async def query(self, document: dict[str, Any]) -> Answer:
        await self._places.acquire()
        if self.closed.done():
            self._places.release()  # to the next one, who finds the same
            raise LinkLost(f"the link to the engine at {self._link.address} broke", sent=False)
        request = 1 + (next(self._tokens) & 0x7FFFFFFF)
        future = self._queries[request] = self._loop.create_future()
        self.transport.write(frame(FrameType.QUERY, msgspec.json.encode(document), request=request))
        return await future

    def _answered(self, request: int) -> asyncio.Future[Answer] | None:
        """Who waits for this answer, if anybody still does. Its place is free."""
        query = self._queries.pop(request, None)
        if query is None:
            return None
        self._places.release()
        return None if query.done() else query

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        hello = {"protocol": PROTOCOL, "client": self._link.client}
        self.transport.write(frame(FrameType.HELLO, msgspec.json.encode(hello)))

    def connection_lost(self, error: Exception | None) -> None:
        self._link._lost(self, str(error) if error else "closed by the engine")

    def fail_all(self, why: str) -> None:
        for token, future in self._waiting.items():
            if not future.done():
                future.set_exception(LinkLost(why, sent=token not in self._unsent_tokens))
        for query in self._queries.values():
            self._places.release()
            if not query.done():
                query.set_exception(LinkLost(why, sent=True))
        self._waiting.clear()
        self._queries.clear()
        if not self.welcome.done():
            self.welcome.set_exception(LinkLost(why, sent=False))
            self.welcome.exception()  # seen: nobody waits for it when the link is closed while it connects
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            for type_, records, request, payload in self._reader.feed(data):
                self._frame(type_, records, request, payload)
        except (FrameError, ValueError, KeyError, msgspec.DecodeError) as error:
            logger.error("the engine at %s sent what is no answer: %s", self._link.address, error)
            self.transport.abort()

    def _frame(self, type_: int, records: int, request: int, payload: bytes) -> None:
        if type_ == FrameType.REPLIES:
            offset = 0
            for _ in range(records):
                token, outcome, count, _ = REPLY.unpack_from(payload, offset)
                offset += REPLY.size
                end = offset + count * EVENT_BYTES
                future = self._waiting.pop(token, None)
                if future is not None and not future.done():
                    future.set_result(Reply(Outcome(outcome), payload[offset:end]))
                offset = end
        elif type_ == FrameType.ANSWER:
            query = self._answered(request)
            if query is not None:
                end = 4 + int.from_bytes(payload[:4], "little")
                query.set_result(Answer(msgspec.json.decode(payload[4:end]), payload[end:]))
        elif type_ == FrameType.NOTICE:
            self._link._noticed(msgspec.json.decode(payload)["notice"])
        elif type_ == FrameType.WELCOME:
            document = msgspec.json.decode(payload)
            tables = Tables.from_json(document)
            if not self.welcome.done():
                fields = {name: document[name] for name in Welcome._fields if name != "tables"}
                self.welcome.set_result(Welcome(**fields, tables=tables))
        elif type_ == FrameType.ERROR:
            document = msgspec.json.decode(payload)
            query = self._answered(request)
            if query is not None:
                query.set_exception(QueryRefused(document["code"], document["message"]))
            elif request == 0:
                logger.error("the engine at %s refuses us: %s", self._link.address, document["message"])
                self.transport.abort()


def is_path(address: str) -> bool:
    """Whether an address of the settings names a Unix socket; `host:port` is the other form."""
    return not address.rpartition(":")[2].isdigit()
