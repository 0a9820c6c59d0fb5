"""The specification of the matching engine, in plain Python, written to be read.

Start at `Engine.apply`: it takes journal records one by one and hands each to the method of its kind (`new`, `cancel`,
`replace` ...). Such a method first asks for a reason to refuse (`reference_refusals.py`), in the order that
`engine/api.py` states; only when there is none does it change anything. Whatever happens is told to `self.out`, one event per fact.

The compiled engine must give the same bytes for the same records. So whoever changes a rule changes it here first,
behind a new RULES_VERSION: what older rules say of a command stays as it is for ever.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from engine import state
from engine.api import Book
from engine.invariant import hold
from engine.records import (
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    COMMAND_BYTES,
    INSTRUMENT,
    MAKER,
    PRICE_TICKS_MAX,
    RECORD_BYTES,
    RECORD_COMMAND_OFFSET,
    RECORD_HEADER,
    RULES_VERSION,
    SELF_TRADE_FLAGS,
    Command,
    CommandKind,
    EventKind,
    InstrumentState,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)
from engine.reference_book import Order, OrderBook
from engine.reference_events import EventWriter
from engine.reference_ids import ClientIds
from engine.reference_refusals import RESTING, why_not_new, why_not_replace

SCALE_MAX = 18  # decimals of a tick or lot size

STATES = frozenset(InstrumentState)


class Engine:
    implementation = "python"

    def __init__(self, *, max_live_orders: int, client_ids_max: int) -> None:
        if max_live_orders < 1 or client_ids_max < 1:
            raise ValueError(
                f"max_live_orders ({max_live_orders}) and client_ids_max ({client_ids_max}) must be at least 1"
            )
        self.max_live_orders = max_live_orders
        self.client_ids_max = client_ids_max
        self.trades = 0
        self.halted = False
        self.rules = 1  # in force; ADOPT_RULES raises them
        self.instruments: list[tuple[int | bytes, ...]] = []  # the fields of INSTRUMENT; symbol 1 comes first
        self.accounts: list[bytes] = []  # names; account 1 comes first
        self.books: dict[int, OrderBook] = {}
        self.orders: dict[int, Order] = {}  # live ones, by sequence
        self.expiring: list[tuple[int, int]] = []  # when and which of those that end by the clock, in order
        self.ids = ClientIds()
        self.out = EventWriter()
        self._commands = {
            CommandKind.NEW: self.new,
            CommandKind.CANCEL: self.cancel,
            CommandKind.REPLACE: self.replace,
            CommandKind.MASS_CANCEL: self.mass_cancel,
            CommandKind.HALT: self.halt,
            CommandKind.RESUME: self.resume,
            CommandKind.DEFINE_ACCOUNT: self.define_account,
            CommandKind.ROLL_CLIENT_IDS: self.roll_client_ids,
            CommandKind.ADOPT_RULES: self.adopt_rules,
            CommandKind.EXPIRE: self.expire,
        }

    @property
    def sequence(self) -> int:
        return self.out.sequence

    @property
    def events(self) -> int:
        return self.out.ordinal

    @property
    def live(self) -> int:
        return len(self.orders)

    @property
    def next_expiry(self) -> int:
        return self.expiring[0][0] if self.expiring else 0

    @property
    def client_ids(self) -> int:
        return self.ids.count

    # ---- records in, events out

    def apply(self, records: bytes | bytearray | memoryview) -> bytes:
        self._check_sequences(records)
        for start in range(0, len(records), RECORD_BYTES):
            *_, sequence, time_ns = RECORD_HEADER.unpack_from(records, start)
            self.out.begin(sequence, time_ns)
            offset = start + RECORD_COMMAND_OFFSET
            command = Command.unpack(records, offset)
            if command.kind == CommandKind.DEFINE_INSTRUMENT:
                self.define_instrument(command, INSTRUMENT.unpack_from(records, offset))
            elif command.kind in self._commands:
                self._commands[command.kind](command)
            else:
                self.out.refuse(command, Reason.BAD_FIELD)
        return self.out.take()

    def _check_sequences(self, records: bytes | bytearray | memoryview) -> None:
        if len(records) % RECORD_BYTES:
            raise ValueError(f"{len(records)} bytes are no whole number of records of {RECORD_BYTES} bytes")
        expected = self.sequence
        for start in range(0, len(records), RECORD_BYTES):
            expected += 1
            sequence = RECORD_HEADER.unpack_from(records, start)[6]
            if sequence != expected:
                raise ValueError(f"record with sequence {sequence} where {expected} was due; nothing was applied")

    # ---- NEW

    def new(self, command: Command) -> None:
        reason = why_not_new(self, command)
        if reason:
            return self.out.refuse(command, reason)
        self.ids.remember(command, self.sequence)
        order = Order(command, self.sequence, self.out.time_ns)
        lots = order.quantity
        self.out.report(order, EventKind.ACCEPTED, lots, lots, trade=order.expires_ns, text=command.text)
        book = self.books[order.symbol]
        if order.tif == TimeInForce.FOK and not book.can_fill(order, _limit(order)):
            return self.out.report(order, EventKind.CANCELLED, order.quantity, 0, reason=Reason.FOK_NOT_FILLABLE)
        reason = self.match(order)
        if not order.leaves:
            return None
        if reason or order.tif not in RESTING:
            return self.out.report(order, EventKind.CANCELLED, order.leaves, 0, reason=reason or Reason.UNFILLED_REST)
        return self.rest(order)

    # ---- matching

    def match(self, taker: Order) -> Reason:
        """Fill against the opposite side: best price first, oldest order first, at the maker's price. SELF_TRADE: it met an
        order of its own account and must go itself."""
        book = self.books[taker.symbol]
        makers = book.opposite(taker.side)
        while taker.leaves:
            price = book.matchable_price(taker.side, _limit(taker))
            if price is None:
                break
            maker = next(iter(makers.queues[price].values()))
            if taker.flags & SELF_TRADE_FLAGS and maker.account == taker.account:
                if taker.flags & CANCEL_OLDEST:
                    self.leave(maker)
                    self.out.report(maker, EventKind.CANCELLED, maker.leaves, 0, reason=Reason.SELF_TRADE)
                if taker.flags & CANCEL_NEWEST:
                    return Reason.SELF_TRADE
                continue
            quantity = min(taker.leaves, maker.leaves)
            taker.filled += quantity
            maker.filled += quantity
            self.trades += 1
            self.out.report(maker, EventKind.FILL, quantity, maker.leaves, price=price, trade=self.trades, flags=MAKER)
            self.out.report(taker, EventKind.FILL, quantity, taker.leaves, price=price, trade=self.trades)
            if not maker.leaves:
                self.leave(maker)
        return Reason.NONE

    def rest(self, order: Order) -> None:
        self.books[order.symbol].own(order.side).add(order)
        self.orders[order.sequence] = order
        if order.expires_ns:
            insort(self.expiring, (order.expires_ns, order.sequence))

    def leave(self, order: Order) -> None:
        self.books[order.symbol].own(order.side).remove(order)
        del self.orders[order.sequence]
        if order.expires_ns:
            del self.expiring[bisect_left(self.expiring, (order.expires_ns, order.sequence))]

    # ---- CANCEL, REPLACE, MASS_CANCEL

    def cancel(self, command: Command) -> None:
        order = self.orders.get(command.target)
        if order is None:
            return self.out.refuse(command, Reason.UNKNOWN_ORDER)
        if command.account not in (0, order.account):
            return self.out.refuse(command, Reason.NOT_OWNER)
        self.leave(order)
        return self.out.report(order, EventKind.CANCELLED, order.leaves, 0, reason=Reason.BY_CLIENT)

    def replace(self, command: Command) -> None:
        reason = why_not_replace(self, command)
        if reason:
            return self.out.refuse(command, reason)
        self.ids.remember(command, self.sequence)
        order = self.orders[command.target]
        keeps_place = command.price == order.price and command.quantity <= order.quantity
        if not keeps_place:
            self.leave(order)
        order.price, order.quantity = command.price, command.quantity
        self.out.report(order, EventKind.REPLACED, order.quantity, order.leaves)
        if not keeps_place:
            reason = self.match(order)
            if order.leaves and reason:
                self.out.report(order, EventKind.CANCELLED, order.leaves, 0, reason=reason)
            elif order.leaves:
                self.rest(order)
        return None

    def mass_cancel(self, command: Command) -> None:
        sequences = list(self._select(command.account, command.symbol, after=0))
        for sequence in sequences:
            order = self.orders[sequence]
            self.leave(order)
            self.out.report(order, EventKind.CANCELLED, order.leaves, 0, reason=Reason.MASS_CANCEL)
        self.out.emit(EventKind.MASS_CANCELLED, account=command.account, symbol=command.symbol, quantity=len(sequences))

    def expire(self, command: Command) -> None:
        if self.rules < 3:
            return self.out.refuse(command, Reason.BAD_FIELD)
        count = 0
        while self.expiring and self.expiring[0][0] <= self.out.time_ns:
            order = self.orders[self.expiring[0][1]]
            self.leave(order)
            self.out.report(order, EventKind.CANCELLED, order.leaves, 0, reason=Reason.EXPIRED)
            count += 1
        return self.out.emit(EventKind.ORDERS_EXPIRED, quantity=count)

    # ---- the engine as a whole

    def halt(self, command: Command) -> None:
        self.halted = True
        self.out.emit(EventKind.HALTED, account=command.account, symbol=command.symbol, text=command.text)

    def resume(self, command: Command) -> None:
        self.halted = False
        self.out.emit(EventKind.RESUMED, account=command.account, symbol=command.symbol, text=command.text)

    def define_instrument(self, command: Command, fields: tuple[int | bytes, ...]) -> None:
        # Token, spares and what stands behind the name are no part of the definition.
        definition = (0, *fields[1:4], 0, len(command.text), 0, 0, *fields[8:13], command.text, 0)
        symbol = command.symbol
        valid = (
            command.tif in STATES
            and command.side <= SCALE_MAX  # tick_scale
            and command.type <= SCALE_MAX  # lot_scale
            and command.price >= 1  # tick
            and command.quantity >= 1  # lot
            and 0 <= command.target <= PRICE_TICKS_MAX  # base_ticks
            and len(command.text) >= 1
        )
        if valid and symbol == len(self.instruments) + 1:
            self.instruments.append(definition)
            self.books[symbol] = OrderBook(command.target)
        elif valid and symbol in self.books and _but_state(self.instruments[symbol - 1]) == _but_state(definition):
            self.instruments[symbol - 1] = definition
        else:
            return self.out.refuse(command, Reason.BAD_FIELD)
        return self.out.emit(
            EventKind.INSTRUMENT_DEFINED,
            price=command.price,
            quantity=command.quantity,
            leaves=command.target,
            trade=command.extra,
            symbol=symbol,
            side=command.side,
            type_=command.type,
            tif=command.tif,
            text=command.text,
        )

    def define_account(self, command: Command) -> None:
        if command.account != len(self.accounts) + 1 or not command.text:
            return self.out.refuse(command, Reason.BAD_FIELD)
        self.accounts.append(command.text)
        return self.out.emit(EventKind.ACCOUNT_DEFINED, account=command.account, text=command.text)

    def roll_client_ids(self, command: Command) -> None:
        self.ids.roll(self.orders)
        self.out.emit(EventKind.CLIENT_IDS_ROLLED, account=command.account, symbol=command.symbol)

    def adopt_rules(self, command: Command) -> None:
        if not self.rules < command.quantity <= RULES_VERSION:
            return self.out.refuse(command, Reason.BAD_FIELD)
        self.rules = command.quantity
        return self.out.emit(EventKind.RULES_ADOPTED, quantity=self.rules)

    # ---- questions

    def find(self, command: bytes | bytearray | memoryview) -> int:
        if len(command) < COMMAND_BYTES:
            raise ValueError(f"{len(command)} bytes are no command of {COMMAND_BYTES} bytes")
        return self.ids.find(Command.unpack(command))

    def last_event(self, order: int) -> int:
        return self.orders[order].last_event if order in self.orders else 0

    def live_orders(self, account: int = 0, symbol: int = 0, after: int = 0, limit: int = 1000) -> list[int]:
        return list(self._select(account, symbol, after))[: max(limit, 0)]

    def _select(self, account: int, symbol: int, after: int) -> Iterator[int]:
        for sequence in sorted(self.orders):
            order = self.orders[sequence]
            if sequence > after and account in (0, order.account) and symbol in (0, order.symbol):
                yield sequence

    def book(self, symbol: int, depth: int) -> Book:
        book = self.books.get(symbol)
        if book is None:
            return Book([], [])
        return Book(book.own(Side.BUY).levels(depth), book.own(Side.SELL).levels(depth))

    def state_hash(self) -> int:
        return state.digest(self._state())

    def _state(self) -> Iterator[bytes]:
        counters = (self.sequence, self.events, self.trades, self.live, self.client_ids)
        flags = state.flags(self.halted, self.rules)
        yield state.STATE.pack(*counters, flags, len(self.instruments), len(self.accounts))
        for definition in self.instruments:
            yield INSTRUMENT.pack(CommandKind.DEFINE_INSTRUMENT, *definition[1:])
        for name in self.accounts:
            yield state.ACCOUNT.pack(len(name), name)
        for book in self.books.values():
            for half in (book.own(Side.BUY), book.own(Side.SELL)):
                for order in half.orders():
                    yield state.ORDER.pack(
                        order.sequence,
                        order.price,
                        order.quantity,
                        order.leaves,
                        order.last_event,
                        order.account,
                        order.symbol,
                        order.side,
                        order.type,
                        order.tif,
                        order.flags,
                        state.ends(order.expires_ns),
                    )

    def check_invariants(self) -> None:
        resting = sum(book.check() for book in self.books.values())
        hold(resting == self.live, f"{resting} orders rest in books, {self.live} are live")
        hold(self.live <= self.max_live_orders, f"{self.live} live orders, at most {self.max_live_orders} allowed")
        hold(len(self.books) == len(self.instruments), "an instrument without a book")
        for sequence, order in self.orders.items():
            queue = self.books[order.symbol].own(order.side).queues.get(order.price, {})
            hold(queue.get(sequence) is order, f"order {sequence} is live but not in its queue")
            hold(0 < order.last_event <= self.events, f"order {sequence} has no event of its own")
        due = sorted((order.expires_ns, sequence) for sequence, order in self.orders.items() if order.expires_ns)
        hold(self.expiring == due, "what is to end by the clock is not what lives and does")
        self.ids.check()


def _limit(order: Order) -> int | None:
    return None if order.type == OrderType.MARKET else order.price


def _but_state(definition: tuple[int | bytes, ...]) -> tuple[int | bytes, ...]:
    return definition[:3] + definition[4:]
