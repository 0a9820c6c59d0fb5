"""What can be asked over the link, see QUERY in stack/wire/frames.py.

Reads of the event log are durable by nature. Reads of the engine's memory are made at once and answered when everything
they may have seen is durable. Every one may hold up orders, since all run on the loop that takes them: chains are read in
pieces of PIECE_EVENTS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import msgspec

from engine.records import EVENT_BYTES, Command, CommandKind
from stack.matcher.partition import Partition
from stack.matcher.status import status

ORDERS_MAX = 1000
DEPTH_MAX = 10_000
EVENTS_MAX = 100_000
CHAINS_MAX = 256
PIECE_EVENTS = 512  # of chains, in one answer: in plain Python each costs one to two microseconds
WAIT_MS_MAX = 60_000

_LEAVES = slice(48, 56)
Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Id: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="query"):
    pass


class OrderQuery(Query, frozen=True, tag="order"):
    order: Number
    end: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=0, le=PIECE_EVENTS)] = 0  # 0: all of them


class ChainsQuery(Query, frozen=True, tag="chains"):
    orders: Annotated[list[Number], msgspec.Meta(min_length=1, max_length=CHAINS_MAX)]


class ClientIdQuery(Query, frozen=True, tag="client_id"):
    account: Id
    client_order_id: Annotated[str, msgspec.Meta(min_length=1, max_length=36)]
    only_ids: bool = False


class OrdersQuery(Query, frozen=True, tag="orders"):
    account: Id = 0
    symbol: Id = 0
    after: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=ORDERS_MAX)] = ORDERS_MAX
    only_ids: bool = False


class BookQuery(Query, frozen=True, tag="book"):
    symbol: Id
    depth: Annotated[int, msgspec.Meta(ge=1, le=DEPTH_MAX)] = 10


class TablesQuery(Query, frozen=True, tag="tables"):
    pass


class StatusQuery(Query, frozen=True, tag="status"):
    pass


class StateQuery(Query, frozen=True, tag="state"):
    pass


class EventsQuery(Query, frozen=True, tag="events", rename={"first": "from"}):
    first: Number
    limit: Annotated[int, msgspec.Meta(ge=1, le=EVENTS_MAX)] = EVENTS_MAX
    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=WAIT_MS_MAX)] = 0


AnyQuery: TypeAlias = (
    OrderQuery
    | ChainsQuery
    | ClientIdQuery
    | OrdersQuery
    | BookQuery
    | TablesQuery
    | StatusQuery
    | StateQuery
    | EventsQuery
)
decoder = msgspec.json.Decoder(AnyQuery)

Answered: TypeAlias = Callable[[dict[str, Any], bytes], None]  # the JSON, then encoded events


class UnknownSymbol(Exception):
    pass


class Queries:
    def __init__(self, partition: Partition, started_ns: int) -> None:
        self._partition = partition
        self._started_ns = started_ns

    def ask(self, query: AnyQuery, answered: Answered, lost: Callable[[], None]) -> None:
        """Calls `answered` now or once durable, or `lost` when that will never be. Raises UnknownSymbol.

        EventsQuery is not answered here, because it waits; see LongPolls.
        """
        partition = self._partition
        if isinstance(query, OrderQuery):
            self._order(query, answered, lost)
        elif isinstance(query, ChainsQuery):
            answered(*self._pieces(query.orders))
        elif isinstance(query, ClientIdQuery):
            found = self._find(query)
            if query.only_ids:
                partition.when_durable(lambda: answered({"orders": found}, b""), lost)
            else:
                partition.when_durable(lambda: answered(*self._chains(found)), lost)
        elif isinstance(query, OrdersQuery):
            live = partition.engine.live_orders(query.account, query.symbol, query.after, query.limit)
            if query.only_ids:
                partition.when_durable(lambda: answered({"orders": live}, b""), lost)
            else:
                partition.when_durable(lambda: answered(*self._chains(live, only_live=True)), lost)
        elif isinstance(query, BookQuery):
            document = self._book(query)
            partition.when_durable(lambda: answered(document, b""), lost)
        elif isinstance(query, StateQuery):
            state = {"sequence": partition.engine.sequence, "state_hash": partition.engine.state_hash()}
            partition.when_durable(lambda: answered(state, b""), lost)
        elif isinstance(query, TablesQuery):
            answered(partition.tables.as_json(), b"")
        elif isinstance(query, StatusQuery):
            answered(status(partition, self._started_ns), b"")
        else:
            raise TypeError(type(query).__name__)

    def _order(self, query: OrderQuery, answered: Answered, lost: Callable[[], None]) -> None:
        def answer() -> None:
            log = self._partition.log
            # an `end` may come from before a restart that cut the log's end off: then there is no such piece
            end = min(query.end or log.last_of(query.order), log.end)
            chain, rest = log.chain_before(end, query.limit or -1)
            answered({"found": bool(chain), "rest": rest}, chain)

        if self._partition.log.last_of(query.order):
            answer()  # also while the disk is stalled
        else:
            self._partition.when_durable(answer, lost)

    def _find(self, query: ClientIdQuery) -> list[int]:
        """An id is unique per account and symbol, so that several orders may carry it."""
        partition, text = self._partition, query.client_order_id.encode()
        if len(text) > 36:
            return []
        used = (
            partition.engine.find(
                Command(CommandKind.NEW, account=query.account, symbol=symbol, text=text).pack(),
            )
            for symbol in partition.tables.instruments
        )
        return sorted(abs(sequence) for sequence in used if sequence)

    def _pieces(self, orders: list[int]) -> tuple[dict[str, Any], bytes]:
        """Whole chains of the first of `orders`, as many as fit into one piece; none when the first alone is too long."""
        log, room = self._partition.log, PIECE_EVENTS
        counts, chains = [], []
        for order in orders:
            chain, rest = log.chain_before(log.last_of(order), room)
            if rest:
                break
            counts.append([order, len(chain) // EVENT_BYTES])
            chains.append(chain)
            room -= counts[-1][1]
        return {"orders": counts}, b"".join(chains)

    def _chains(self, orders: list[int], *, only_live: bool = False) -> tuple[dict[str, Any], bytes]:
        counts, chains = [], []
        for order in orders:
            chain = self._partition.log.chain(order)
            if not chain or (only_live and not any(chain[-EVENT_BYTES:][_LEAVES])):
                continue
            counts.append([order, len(chain) // EVENT_BYTES])
            chains.append(chain)
        return {"orders": counts}, b"".join(chains)

    def _book(self, query: BookQuery) -> dict[str, Any]:
        if query.symbol not in self._partition.tables.instruments:
            raise UnknownSymbol(f"no instrument has the id {query.symbol}")
        book = self._partition.engine.book(query.symbol, query.depth)
        return {"sequence": self._partition.engine.sequence, "bids": book.bids, "asks": book.asks}
