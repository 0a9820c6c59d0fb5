"""A session at an engine's binary door: blocking calls, many batches under way.

`submit` sends a batch and waits only when `window` batches are without an answer; `receive` hands out answers as they come.
Not for several threads at once. The format stands in docs/binary-session.md.

When the connection breaks, every batch without an answer has an unknown outcome: SessionLost carries them. Send them again
in a new session (`settle`): an order with the same id and body is answered as a REPEAT where it was taken, and placed where
it was not. Or look the ids up with `find`.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from engine.records import COMMAND_BYTES, EVENT_BYTES, Event, unpack_events
from stack.client.batch import Batch, commands
from stack.wire.frames import ANSWER_BYTES_MAX, PROTOCOL, REPLY, FrameError, FrameReader, FrameType, Outcome, frame
from stack.wire.link import Answer, QueryRefused
from stack.wire.order import fold
from stack.wire.session import Hello, WelcomeDocument
from stack.wire.tables import Tables

READ_BYTES = 1 << 18


class SessionLost(ConnectionError):
    """The connection is gone. `unknown` are the batches, as they were sent, that may or may not have been taken."""

    def __init__(self, message: str, unknown: list[bytes]) -> None:
        super().__init__(message)
        self.unknown = unknown

    def client_order_ids(self) -> list[bytes]:
        """What to look up: the ids of new orders and replaces without an answer."""
        return [command.text for batch in self.unknown for command in commands(batch) if command.text]


class SessionRefused(SessionLost):
    """The engine ended the session with an ERROR frame: no key, a wrong frame, a key that was revoked."""

    def __init__(self, code: str, message: str, unknown: list[bytes]) -> None:
        super().__init__(f"{code}: {message}", unknown)
        self.code = code


class SessionEnded(Exception):
    """The session was closed by its owner."""


class Reply(NamedTuple):
    outcome: Outcome
    data: bytes  # whole events, encoded

    @property
    def events(self) -> list[Event]:
        return unpack_events(self.data)


class Answered(NamedTuple):
    """One batch and what came of it."""

    number: int  # what `submit` returned
    batch: bytes
    parts: list[bytes]  # of REPLIES frames

    def replies(self) -> Iterator[Reply]:
        """In the order of the batch's commands."""
        for part in self.parts:
            offset, end = 0, len(part)
            while offset < end:
                _token, outcome, count, _spare = REPLY.unpack_from(part, offset)
                offset += REPLY.size
                yield Reply(Outcome(outcome), part[offset : offset + count * EVENT_BYTES])
                offset += count * EVENT_BYTES

    def outcomes(self) -> bytes:
        """One byte a command: the quick look at a batch."""
        found = bytearray()
        unpack, size = REPLY.unpack_from, REPLY.size
        for part in self.parts:
            offset, end = 0, len(part)
            while offset < end:
                _token, outcome, count, _spare = unpack(part, offset)
                found.append(outcome)
                offset += size + count * EVENT_BYTES
        return bytes(found)


class _Flight:
    __slots__ = ("batch", "left", "parts")

    def __init__(self, batch: bytes, left: int) -> None:
        self.batch = batch
        self.left = left  # replies that have not come
        self.parts: list[bytes] = []


class Session:
    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 50052,
        *,
        key: str | None = None,
        client: str = "python",
        window: int = 16,
        timeout_s: float = 30.0,
        on_notice: Callable[[str], object] = lambda _notice: None,
    ) -> None:
        """Connects and says HELLO. Raises OSError, TimeoutError, SessionLost.

        `timeout_s` is how long to wait for WELCOME (an engine that replays a long journal answers late) and the default
        for everything else. `on_notice` gets "halted", "resumed", "stopping"; "tables" was followed already.
        """
        self.window = window
        self.timeout_s = timeout_s
        self._on_notice = on_notice
        self._reader = FrameReader(ANSWER_BYTES_MAX)
        self._flights: dict[int, _Flight] = {}
        self._answered: deque[Answered] = deque()
        self._queries: dict[int, Answer | QueryRefused] = {}
        self._number = 0
        self._refused: tuple[str, str] | None = None
        self._hello: dict[str, Any] | None = None
        self._tables_asked = 0
        self._open = True
        self._socket = socket.create_connection((host, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._poll = select.poll()
        try:
            hello = Hello(PROTOCOL, client, key)
            self._send(frame(FrameType.HELLO, msgspec.json.encode(hello)))
            self._until(lambda: self._hello is not None, timeout_s, "WELCOME")
            assert self._hello is not None  # noqa: S101  just awaited
            self.welcome = msgspec.convert(self._hello, WelcomeDocument)
            self.tables = Tables.from_json(self._hello)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Whatever has no answer yet goes on at the engine; its answer is not heard here."""
        self._open = False
        self._socket.close()

    def fileno(self) -> int:
        """For a select loop of one's own: when it is readable, `receive(0)`."""
        return self._socket.fileno()

    @property
    def in_flight(self) -> int:
        """Batches without an answer."""
        return len(self._flights)

    @property
    def ready(self) -> int:
        """Answers that `receive` hands out without waiting, also after the connection broke."""
        return len(self._answered)

    # ---- orders

    def submit(self, batch: Batch | bytes) -> int:
        """The batch's number. Raises SessionLost, TimeoutError."""
        data = bytes(batch)
        count = len(data) // COMMAND_BYTES
        if len(self._flights) >= self.window:
            self._until(lambda: len(self._flights) < self.window, self.timeout_s, "an answer, to have room for a batch")
        number = self._next()
        self._flights[number] = _Flight(data, count)
        self._send(frame(FrameType.SUBMIT, data, records=count, request=number))
        return number

    def receive(self, timeout_s: float | None = None) -> Answered:
        """The next answer, of whichever batch. Raises SessionLost, TimeoutError."""
        if not self._answered:
            wait_s = self.timeout_s if timeout_s is None else timeout_s
            self._until(lambda: bool(self._answered), wait_s, "an answer")
        return self._answered.popleft()

    def drain(self) -> Iterator[Answered]:
        """Answers until none is due."""
        while self._flights or self._answered:
            yield self.receive()

    def ask(self, batch: Batch | bytes) -> Answered:
        """Submit, and wait for this batch's answer; those of earlier ones stay for `receive`."""
        number = self.submit(batch)
        self._until(lambda: number not in self._flights, self.timeout_s, "an answer")
        found = next(answer for answer in self._answered if answer.number == number)
        self._answered.remove(found)
        return found

    def settle(self, lost: SessionLost) -> Iterator[Answered]:
        """Send again what a lost session left unknown, in its order; the answers as they come."""
        for batch in lost.unknown:
            self.submit(batch)
        yield from self.drain()

    def order(self, reply: Reply) -> dict[str, Any]:
        """The Order after this reply, as HTTP shows it. Of a reply that has events."""
        return fold(reply.events, self.welcome.partition, self.tables)

    # ---- questions

    def query(self, name: str, **fields: object) -> Answer:
        """Raises QueryRefused, SessionLost, TimeoutError."""
        number = self._ask(name, **fields)
        self._until(lambda: number in self._queries, self.timeout_s, f"the answer to {name}")
        answer = self._queries.pop(number)
        if isinstance(answer, QueryRefused):
            raise answer
        return answer

    def find(self, client_order_id: bytes, *, account: int = 0) -> list[dict[str, Any]]:
        """The orders with this id, one per symbol and generation of ids; none: it was never taken."""
        answer = self.query("client_id", account=account, client_order_id=client_order_id.decode("ascii"))
        events, found, start = answer.events, [], 0
        for _order, count in answer.document["orders"]:
            found.append(fold(events[start : start + count], self.welcome.partition, self.tables))
            start += count
        return found

    # ---- the connection

    def _next(self) -> int:
        self._number = self._number % 0xFFFFFFFF + 1
        return self._number

    def _ask(self, name: str, **fields: object) -> int:
        number = self._next()
        self._send(frame(FrameType.QUERY, msgspec.json.encode({"query": name, **fields}), request=number))
        return number

    def _until(self, done: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not done():
            left_s = deadline_s - time.monotonic()
            if not self._read() and not self._wait(select.POLLIN, max(left_s, 0.0)) and left_s <= 0:
                raise TimeoutError(f"waited {timeout_s:g} s for {what}")

    def _wait(self, mask: int, timeout_s: float) -> bool:
        self._poll.register(self._socket, mask)
        return bool(self._poll.poll(timeout_s * 1000))

    def _send(self, data: bytes) -> None:
        """Reads meanwhile: an engine that waits for us to read would not take more."""
        left = memoryview(data)
        while left:
            if not self._open:
                raise SessionEnded("the session was closed")
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                if not self._wait(select.POLLIN | select.POLLOUT, self.timeout_s):
                    raise TimeoutError(f"the engine has read nothing for {self.timeout_s:g} s") from None
                self._read()
            except OSError as error:
                self._lost(error.strerror or str(error))

    def _read(self) -> bool:
        """Whether something came."""
        if not self._open:
            raise SessionEnded("the session was closed")
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._lost(error.strerror or str(error))
            return False
        if not data:
            self._lost("closed by the engine")
        try:
            for type_, records, request, payload in self._reader.feed(data):
                self._frame(type_, records, request, payload)
        except (FrameError, KeyError, ValueError) as error:
            self._lost(f"the engine sent what is no answer: {error!r}")
        if self._tables_asked in self._queries:
            answer = self._queries.pop(self._tables_asked)
            if isinstance(answer, Answer):
                self.tables = Tables.from_json(answer.document)
        return True

    def _frame(self, type_: int, records: int, request: int, payload: bytes) -> None:
        if type_ == FrameType.REPLIES:
            flight = self._flights[request]
            flight.parts.append(payload)
            flight.left -= records
            if flight.left <= 0:
                del self._flights[request]
                self._answered.append(Answered(request, flight.batch, flight.parts))
        elif type_ == FrameType.ANSWER:
            end = 4 + int.from_bytes(payload[:4], "little")
            self._queries[request] = Answer(msgspec.json.decode(payload[4:end]), payload[end:])
        elif type_ == FrameType.WELCOME:
            self._hello = msgspec.json.decode(payload)
        elif type_ == FrameType.NOTICE:
            notice = msgspec.json.decode(payload)["notice"]
            if notice == "tables":
                self._tables_asked = self._ask("tables")
            self._on_notice(notice)
        elif type_ == FrameType.ERROR:
            document = msgspec.json.decode(payload)
            if request:
                self._queries[request] = QueryRefused(document["code"], document["message"])
            else:
                self._refused = document["code"], document["message"]

    def _lost(self, why: str) -> None:
        self._open = False
        self._socket.close()
        unknown = [flight.batch for flight in self._flights.values()]
        if self._refused is not None:
            raise SessionRefused(*self._refused, unknown)
        raise SessionLost(f"the session broke: {why}", unknown)
