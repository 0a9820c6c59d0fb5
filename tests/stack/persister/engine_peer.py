"""The engine's end of the link for tests of the persister: the real reference engine behind the queries it needs.

It runs in a thread with a loop of its own, so that tests can kill processes and talk to databases meanwhile.
"""

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.records import (
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    EVENT_BYTES,
    RECORD_HEADER,
    RULES_VERSION,
    SELF_TRADE_FLAGS,
    Command,
    CommandKind,
    Event,
    EventKind,
    Instrument,
    OrderType,
    Side,
    TimeInForce,
    unpack_events,
)  # fmt: skip
from engine.reference import Engine
from stack.wire.decimals import Step
from stack.wire.frames import FrameReader, FrameType, frame
from stack.wire.tables import Listed, Tables

NOON_NS = 1_790_000_000_000_000_000 // 86_400_000_000_000 * 86_400_000_000_000 + 43_200_000_000_000
INSTRUMENTS = [
    Instrument(1, b"AAPL", 1, 2, 1, 0, b"USD"),
    Instrument(2, b"ESH4", 25, 2, 1, 0, b"USD"),
    Instrument(3, b"PROOF.0", 1, 0, 1, 0, b"USD"),
]
ACCOUNTS = [b"alice", b"bob"]


class EnginePeer:
    def __init__(self, socket: Path) -> None:
        self.socket = str(socket)
        self.engine = Engine(max_live_orders=100_000, client_ids_max=100_000)
        self.events = b""
        self.time_ns = NOON_NS
        self.queries: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._writers: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Event()
        self.apply(*[instrument.pack() for instrument in INSTRUMENTS])
        self.apply(*(Command(CommandKind.DEFINE_ACCOUNT, account=n, text=a).pack() for n, a in enumerate(ACCOUNTS, 1)))
        self.start()

    def apply(self, *commands: bytes | Command) -> list[Event]:
        records = b""
        for number, command in enumerate(commands, self.engine.sequence + 1):
            self.time_ns += 1000
            records += RECORD_HEADER.pack(0, 0, 0, 0, 0, 0, number, self.time_ns)
            records += command.pack() if isinstance(command, Command) else command
        events = self.engine.apply(records)
        self._run(self._append(events))
        return unpack_events(events)

    async def _append(self, events: bytes) -> None:
        self.events += events
        self._changed.set()

    @property
    def tables(self) -> Tables:
        return Tables(
            (
                Listed(i.symbol, i.name.decode(), Step(i.tick, i.tick_scale), Step(i.lot, i.lot_scale), "USD", "open")
                for i in INSTRUMENTS
            ),
            enumerate((a.decode() for a in ACCOUNTS), 1),
        )

    def start(self) -> None:
        self._run(self._listen())

    def stop(self) -> None:
        """As if the process had died: the socket answers nobody."""
        self._run(self._close())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        Path(self.socket).unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self.socket)

    async def _close(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames, waiting = FrameReader(), set()
        self._writers.add(writer)
        try:
            while data := await reader.read(65536):
                for type_, _, request, payload in frames.feed(data):
                    if type_ == FrameType.HELLO:
                        welcome = {
                            "protocol": 1, "partition": 0, "epoch": 1, "rules_version": 1, "halted": False,
                            "sequence": self.engine.sequence, **self.tables.as_json(),
                        }  # fmt: skip
                        writer.write(frame(FrameType.WELCOME, msgspec.json.encode(welcome)))
                    else:
                        waiting.add(asyncio.ensure_future(self._answer(writer, request, msgspec.json.decode(payload))))
        except ConnectionError:
            pass  # a killed persister
        finally:
            for task in waiting:
                task.cancel()
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, request: int, query: dict) -> None:
        self.queries.append(query["query"])
        document, events = await getattr(self, f"_{query['query']}")(query)
        encoded = msgspec.json.encode(document)
        payload = len(encoded).to_bytes(4, "little") + encoded + events
        writer.write(frame(FrameType.ANSWER, payload, request=request))

    async def _events(self, query: dict) -> tuple[dict, bytes]:
        start, end = query["from"], len(self.events) // EVENT_BYTES
        if start >= end and query["wait_ms"]:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), query["wait_ms"] / 1000)
            end = len(self.events) // EVENT_BYTES
        cut = min(start + query["limit"], end)
        while cut < end and Event.unpack(self.events, cut * EVENT_BYTES).index:
            cut -= 1
        found = self.events[start * EVENT_BYTES : cut * EVENT_BYTES]
        return {"next": max(start, cut), "durable_sequence": self.engine.sequence, "end": end}, found

    async def _book(self, query: dict) -> tuple[dict, bytes]:
        book = self.engine.book(query["symbol"], query["depth"])
        return {"sequence": self.engine.sequence, "bids": book.bids, "asks": book.asks}, b""


def new(client_order_id: str, side: Side, price: int, quantity: int, **other) -> Command:
    fields = {"type": OrderType.LIMIT, "tif": TimeInForce.GTC, "account": 1, "symbol": 1, **other}
    return Command(CommandKind.NEW, side=side, price=price, quantity=quantity, text=client_order_id.encode(), **fields)


def trading(peer: EnginePeer, seed: int, commands: int, prefix: str = "o", *, newer: bool = False) -> None:
    """A seeded mix of everything an order can live through; `newer`: with what came after rules 1 as well."""
    rng = random.Random(seed)
    live: list[int] = []
    if newer:
        peer.apply(Command(CommandKind.ADOPT_RULES, quantity=RULES_VERSION))

    timed = [TimeInForce.DAY, TimeInForce.GTT] if newer else []

    def place(number: int) -> Command:
        tif = rng.choice([TimeInForce.GTC] * 4 + [TimeInForce.IOC, TimeInForce.FOK, *timed])
        price, type_ = rng.randint(95, 105), OrderType.LIMIT
        if tif == TimeInForce.IOC and rng.random() < 0.3:
            price, type_ = 0, OrderType.MARKET
        flags = rng.choice([0, 0, 0, CANCEL_NEWEST, CANCEL_OLDEST, SELF_TRADE_FLAGS]) if newer else 0
        return new(
            f"{prefix}-{number}", rng.choice(list(Side)), price, rng.randint(1, 20),
            type=type_, tif=tif, account=rng.randint(1, 2), symbol=rng.randint(1, 2), flags=flags,
            extra=peer.time_ns + rng.randint(3_000, 200_000) if tif == TimeInForce.GTT else 0,
        )  # fmt: skip

    kinds: dict[float, Callable[[int], Command]] = {
        0.15: lambda n: Command(CommandKind.CANCEL, target=live[rng.randrange(len(live))]),
        0.25: lambda n: Command(
            CommandKind.REPLACE, price=rng.randint(95, 105), quantity=rng.randint(1, 30), account=rng.randint(1, 2),
            target=live[rng.randrange(len(live))], text=f"r-{prefix}-{n}".encode(),
        ),
        **({0.252: lambda n: Command(CommandKind.EXPIRE)} if newer else {}),
        0.26: lambda n: Command(CommandKind.MASS_CANCEL, account=rng.randint(1, 2)),
    }  # fmt: skip
    for number in range(commands):
        dice = rng.random()
        make = next((kinds[limit] for limit in kinds if dice < limit and live), place)
        events = peer.apply(make(number))
        live += [e.sequence for e in events if e.kind == EventKind.ACCEPTED]
