"""What an engine promises, whichever implementation runs. `reference.py` is the specification.

What each command does, in the order of the checks (the first that fails gives the one REFUSED event; a refusal changes
nothing but the sequence and the event count):

NEW      halted -> HALTED; account or symbol never defined -> UNKNOWN_ACCOUNT, UNKNOWN_SYMBOL; instrument not open ->
         INSTRUMENT_HALTED; enum out of range, market with GTC, post-only with anything but a GTC limit -> BAD_FIELD;
         quantity not in 1..QUANTITY_LOTS_MAX -> BAD_QUANTITY; limit price not in 1..PRICE_TICKS_MAX -> BAD_PRICE (a
         market order's price must be 0); id already used -> DUPLICATE_CLIENT_ORDER_ID; post-only that would cross ->
         POST_ONLY_WOULD_CROSS; a GTC that may rest in a full book -> BOOK_FULL, at one far level too many ->
         TOO_MANY_FAR_LEVELS.
         Then ACCEPTED (leaves = quantity). FOK that cannot fill at once: CANCELLED, FOK_NOT_FILLABLE. Otherwise it
         matches by price, then time, at the maker's price: per match a FILL of the maker (flag MAKER), then a FILL of the
         taker. What is left of IOC and market: CANCELLED, UNFILLED_REST. What is left of GTC rests.
         Only an accepted order takes its client_order_id: refused, it may be sent again.
CANCEL   target not live -> UNKNOWN_ORDER; account neither 0 (an operator) nor the owner -> NOT_OWNER. CANCELLED,
         BY_CLIENT (quantity = what was open, leaves = 0). Works while halted.
REPLACE  halted, UNKNOWN_ORDER, NOT_OWNER, instrument not open, BAD_QUANTITY (also a total not above what is filled),
         BAD_PRICE, DUPLICATE_CLIENT_ORDER_ID (request_id already used by a replace), POST_ONLY_WOULD_CROSS,
         TOO_MANY_FAR_LEVELS. REPLACED (price, new total, new leaves); the place in the queue is kept only when the price
         stays and the quantity does not grow; otherwise it leaves, matches, and rests at the end of its new level.
MASS_CANCEL  account 0 = all, symbol 0 = all: CANCELLED, MASS_CANCEL for each, by ascending order sequence; then
         MASS_CANCELLED with quantity = how many.
HALT, RESUME  HALTED, RESUMED, also when it already was.
DEFINE_INSTRUMENT  the next symbol id, or a known one again: then state may change, and nothing else (else BAD_FIELD).
         INSTRUMENT_DEFINED carries price = tick, quantity = lot, leaves = base_ticks, trade = the eight currency bytes,
         side = tick_scale, type = lot_scale, tif = state, text = name.
DEFINE_ACCOUNT  the next account id (in `account`), its name in text. ACCOUNT_DEFINED.
ROLL_CLIENT_IDS  the older generation of ids is forgotten, ids of live orders excepted. CLIENT_IDS_ROLLED.
ADOPT_RULES  quantity = the version: above the one in force and at most RULES_VERSION (else BAD_FIELD). RULES_ADOPTED with it.
anything else    REFUSED, BAD_FIELD.

Rules 2: a NEW may carry CANCEL_NEWEST, CANCEL_OLDEST or both. Where it, or a REPLACE of it, would meet an order of its own
account, the resting one goes (CANCEL_OLDEST: CANCELLED, SELF_TRADE, and the next is looked at), the coming one goes with what
is left of it (CANCEL_NEWEST: CANCELLED, SELF_TRADE), or first that one and then this. What the coming order says counts, not
what the resting one said. A FOK that could not be filled without its own orders goes as FOK_NOT_FILLABLE, and nothing else.
Under rules 1 those flags are a BAD_FIELD, as they were.

Rules 3: DAY and GTT rest like GTC (and are held to what is said of it above), and end by the clock: DAY with the UTC day of the
record that brought it, GTT at `extra`, which must lie behind the record's time and fit into 63 bits (else BAD_EXPIRY, looked at after
BAD_PRICE). ACCEPTED has that time in `trade`; a REPLACE keeps it; of a GTT it is part of the body. EXPIRE cancels all whose time
is not after the record's, by time and then by sequence: CANCELLED, EXPIRED for each, then ORDERS_EXPIRED with quantity = how many.
Works while halted. Nothing ends by itself: whoever writes the journal puts EXPIRE before the first record that is due later
(`next_expiry`).

An empty client_order_id or request_id is none: nothing is remembered and nothing is a duplicate. A client_order_id is its
account's and symbol's, a request_id its account's alone. A flag that nobody defined is a BAD_FIELD of NEW; fields that a
command has no use for are ignored. Definitions are refused (BAD_FIELD) with an empty name, tick or lot below 1, a scale
above 18, a state that is none, or base_ticks outside 0..PRICE_TICKS_MAX.

REFUSED events carry the command's own side, type, tif, flags, account, symbol, price, quantity, text, with order = the
target of a cancel or replace (0 for NEW), leaves = 0 and previous = 0: a refusal is in no order's chain.

The dense window of a book is [base_ticks, base_ticks + 2**24); at most FAR_LEVELS_MAX levels per side and symbol may rest
outside. This is a rule, not a detail: both implementations refuse at the same point.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

WINDOW_TICKS = 1 << 24
FAR_LEVELS_MAX = 1024


class Level(NamedTuple):
    price: int  # ticks
    quantity: int  # lots
    orders: int


class Book(NamedTuple):
    bids: list[Level]  # best first
    asks: list[Level]


class MatchingEngine(Protocol):
    """Created as `Engine(max_live_orders=..., client_ids_max=...)`."""

    @property
    def implementation(self) -> str:
        """'cython' or 'python'."""

    @property
    def sequence(self) -> int:
        """Of the last command applied; 0 at first."""

    @property
    def events(self) -> int:
        """How many were emitted so far: the next event's ordinal."""

    @property
    def trades(self) -> int: ...

    @property
    def live(self) -> int:
        """Orders resting in all books."""

    @property
    def halted(self) -> bool: ...

    @property
    def rules(self) -> int:
        """In force: 1 at first, then what ADOPT_RULES said last."""

    @property
    def next_expiry(self) -> int:
        """When the first live order ends by the clock, in nanoseconds since 1970; 0: none does."""

    @property
    def client_ids(self) -> int:
        """Entries in the younger generation; the matcher rolls when it reaches client_ids_max."""

    def apply(self, records: bytes | bytearray | memoryview) -> bytes:
        """Apply whole journal records in order and return their events, encoded.

        Reads sequence, time and command of each record; the rest of its header is the journal's business.
        Raises ValueError, before changing anything, when the buffer is no whole number of records or the first sequence
        is not `self.sequence + 1`.
        """

    def find(self, command: bytes | bytearray | memoryview) -> int:
        """Look up the client_order_id (NEW) or request_id (REPLACE) of an encoded command.

        0: never used; n > 0: used by command n with the same body; -n: used by command n with another body. The body is
        side, type, tif, flags, price, quantity and target.
        """

    def last_event(self, order: int) -> int:
        """1 + ordinal of a live order's newest event; 0 when it is not live."""

    def live_orders(self, account: int = 0, symbol: int = 0, after: int = 0, limit: int = 1000) -> list[int]:
        """Sequences of live orders above `after`, ascending."""

    def book(self, symbol: int, depth: int) -> Book: ...

    def state_hash(self) -> int:
        """The same number in both implementations for the same state, whatever way led there: instruments, accounts,
        halted, counters, and every live order in price-time priority."""

    def check_invariants(self) -> None:
        """Walk everything and raise AssertionError naming the first broken invariant."""
