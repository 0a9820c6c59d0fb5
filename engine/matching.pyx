"""The compiled engine: the same bytes as engine/reference.py, for the same records.

This is the one translation unit that brings the .pxd modules together; each of them says at its top what it holds.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import os

from engine import state
from engine.api import Book, Level
from engine.administration cimport select_orders
from engine.client_ids cimport IdKey, has_id, hash_body, hash_id, home_entry, known_id
from engine.core cimport LIVE_ORDERS_LIMIT, apply_records, core_fault_in, core_free, core_make, first_out_of_order
from engine.expiry cimport next_expiry
from engine.hashed cimport HashedOrder, walk_levels
from engine.invariants cimport first_broken
from engine.ladder cimport key_below, level_at, price_of
from engine.layout cimport COMMAND_BYTES, EMPTY_SIDE, PREFETCH, RECORD_BYTES, SEQUENCE_MASK
from engine.pool cimport find_order
from engine.snapshot cimport (
    PIECE_BYTES, SAVED_ACCOUNTS, SAVED_CORE, SAVED_EXPIRIES, SAVED_IDS, SAVED_INSTRUMENTS, SAVED_LEVELS, SAVED_ORDERS, SavedCore,
    SavedExpiry, SavedId, SavedSide, restore_expiries, restore_accounts, restore_core, restore_ids, restore_instruments, restore_levels, restore_orders, restored,
    save_core, save_expiries, save_ids,
)
from engine.types cimport Account, Book as CBook, Core, FarLevel, IdEntry, Level as CLevel, Order

cdef enum:
    HASHED_ORDERS = 8192
    LEVELS_PER_PIECE = 16384
    GIL_FREE_FROM = 256     # records; for fewer, giving the GIL away costs more than it frees


cdef class Engine:
    """See engine/api.py. It belongs to one thread: apply() lets others run, and they must not touch it meanwhile but for
    fault_in()."""

    implementation = "cython"

    def __cinit__(self, *, max_live_orders, client_ids_max, faulted_in=True):
        if not 1 <= max_live_orders <= LIVE_ORDERS_LIMIT or not 1 <= client_ids_max <= LIVE_ORDERS_LIMIT:
            raise ValueError(
                f"max_live_orders ({max_live_orders}) and client_ids_max ({client_ids_max}) "
                f"must be between 1 and {LIVE_ORDERS_LIMIT}"
            )
        cdef uint64_t secret[2]
        drawn = os.urandom(sizeof(secret))
        memcpy(secret, <const char*>drawn, sizeof(secret))
        self.core = core_make(max_live_orders, client_ids_max, secret, faulted_in)
        if self.core == NULL:
            raise MemoryError(
                f"cannot reserve memory for {max_live_orders} live orders and {client_ids_max} client ids: "
                "lower max_live_orders or client_ids_max"
            )

    def __dealloc__(self):
        core_free(self.core)

    # ---- C face

    cdef int64_t find_command(self, const Command* command) noexcept nogil:
        cdef IdKey key
        if not has_id(command):
            return 0
        hash_id(self.core, command, &key)
        return self.find_prepared(command, &key)

    cdef void prepare_find(self, const Command* command, IdKey* key) noexcept nogil:
        if has_id(command):
            hash_id(self.core, command, key)
            PREFETCH(home_entry(&self.core.ids[0], key))
            PREFETCH(home_entry(&self.core.ids[1], key))

    cdef int64_t find_prepared(self, const Command* command, IdKey* key) noexcept nogil:
        cdef IdEntry* entry
        cdef int64_t sequence
        if not has_id(command):
            return 0
        entry = known_id(self.core, key)
        if entry == NULL:
            return 0
        sequence = <int64_t>(entry.stamp & SEQUENCE_MASK)
        return sequence if entry.body == hash_body(self.core, command) else -sequence

    cdef const Event* run(self, const Record* records, uint64_t count, uint64_t* events) except NULL:
        """Applies; the events stay where they are until the next call."""
        cdef uint64_t applied = first_out_of_order(self.core, records, count)
        if applied != count:
            raise ValueError(
                f"record with sequence {records[applied].sequence} where {self.core.sequence + 1 + applied} was due; "
                "nothing was applied"
            )
        if count >= GIL_FREE_FROM:
            with nogil:
                applied = apply_records(self.core, records, count)
        else:
            applied = apply_records(self.core, records, count)
        if applied != count:
            self._raise_broken(applied, count)
        events[0] = self.core.events_used
        return self.core.events

    def _raise_broken(self, applied, count):
        cdef const char* broken = first_broken(self.core, False)
        if broken != NULL:
            raise AssertionError(f"after command {self.core.sequence}: {broken.decode()}")
        raise MemoryError(
            f"no memory for command {self.core.sequence + 1}; {applied} of {count} records were applied and their "
            "events are lost: start a new engine from the journal"
        )

    # ---- Python face

    def fault_in(self):
        """Take the memory of all tables now, where `faulted_in` was asked for; beside whatever the engine is doing."""
        with nogil:
            core_fault_in(self.core)

    def apply(self, records):
        cdef Py_buffer view
        cdef uint64_t events
        cdef const Event* first
        PyObject_GetBuffer(records, &view, PyBUF_SIMPLE)
        try:
            if view.len % RECORD_BYTES != 0:
                raise ValueError(f"{view.len} bytes are no whole number of records of {RECORD_BYTES} bytes")
            first = self.run(<const Record*>view.buf, <uint64_t>view.len // RECORD_BYTES, &events)
            return PyBytes_FromStringAndSize(<const char*>first, <Py_ssize_t>(events * sizeof(Event)))
        finally:
            PyBuffer_Release(&view)

    def find(self, command):
        cdef Py_buffer view
        PyObject_GetBuffer(command, &view, PyBUF_SIMPLE)
        try:
            if view.len < COMMAND_BYTES:
                raise ValueError(f"{view.len} bytes are no command of {COMMAND_BYTES} bytes")
            return self.find_command(<const Command*>view.buf)
        finally:
            PyBuffer_Release(&view)

    @property
    def sequence(self):
        return self.core.sequence

    @property
    def events(self):
        return self.core.ordinal

    @property
    def trades(self):
        return self.core.trades

    @property
    def live(self):
        return self.core.live

    @property
    def halted(self):
        return bool(self.core.halted)

    @property
    def rules(self):
        return self.core.rules

    @property
    def next_expiry(self):
        return next_expiry(self.core)

    @property
    def client_ids(self):
        return self.core.ids[self.core.younger].count

    def last_event(self, order):
        if not 0 < order <= self.core.sequence:
            return 0
        cdef uint32_t number = find_order(self.core, order)
        return self.core.orders[number].last_event if number != 0 else 0

    def live_orders(self, account=0, symbol=0, after=0, limit=1000):
        cdef uint32_t n = select_orders(self.core, account, symbol, after), i
        return [self.core.selection[i] for i in range(min(n, max(limit, 0)))]

    def book(self, symbol, depth):
        if not 1 <= symbol <= self.core.symbols:
            return Book([], [])
        return Book(self._levels(symbol, 0, depth), self._levels(symbol, 1, depth))

    cdef list _levels(self, uint32_t symbol, uint32_t s, depth):
        cdef CBook* book = self.core.books[symbol - 1]
        cdef int64_t key = book.sides[s].best
        cdef CLevel* level
        levels = []
        while key != EMPTY_SIDE and len(levels) < depth:
            level = level_at(book, s, key)
            lots = (<object>level.lots_high << 64) | level.lots_low
            levels.append(Level(price_of(book, key, s), lots, level.count))
            key = key_below(&book.sides[s], key)
        return levels

    def state_hash(self):
        return state.digest(self._state())

    def _state(self):
        cdef Core* core = self.core
        cdef uint32_t i, s
        counters = (core.sequence, core.ordinal, core.trades, core.live, self.client_ids)
        flags = state.flags(self.halted, core.rules)
        yield state.STATE.pack(*counters, flags, core.symbols, core.accounts_count)
        for i in range(core.symbols):
            yield PyBytes_FromStringAndSize(<const char*>&core.books[i].definition, COMMAND_BYTES)
        for i in range(core.accounts_count):
            yield PyBytes_FromStringAndSize(<const char*>&core.accounts[i], sizeof(core.accounts[i]))
        for i in range(core.symbols):
            for s in range(2):
                yield from self._resting(i, s)

    def _resting(self, uint32_t i, uint32_t s):
        cdef CBook* book = self.core.books[i]
        cdef int64_t key = book.sides[s].best
        cdef uint64_t room, n, seen = 0
        cdef HashedOrder* hashed
        while key != EMPTY_SIDE:
            room = level_at(book, s, key).count
            if room > self.core.live or seen > self.core.live:
                raise AssertionError("a queue is longer than there are live orders")
            room = max(room, <uint64_t>HASHED_ORDERS)
            piece = PyBytes_FromStringAndSize(NULL, room * sizeof(HashedOrder))
            hashed = <HashedOrder*><char*>piece
            with nogil:
                n = walk_levels(self.core, book, s, &key, hashed, room)
            if n == 0:
                raise AssertionError("a queue has not as many orders as its level says")
            yield piece if n == room else piece[: n * sizeof(HashedOrder)]
            seen += n

    # ---- the whole state, out of one engine and into a fresh one

    def dump(self, write):
        """Hands `write(kind, bytes)` the state in pieces of about a mebibyte. Only a compiled engine reads them."""
        cdef Core* core = self.core
        cdef SavedCore saved
        cdef uint64_t at, n, slot
        cdef uint32_t which, i
        memset(&saved, 0, sizeof(saved))
        save_core(core, &saved)
        write(SAVED_CORE, (<const char*>&saved)[: sizeof(saved)])
        for i in range(core.symbols):
            write(SAVED_INSTRUMENTS, (<const char*>&core.books[i].definition)[:COMMAND_BYTES])
        if core.accounts_count:
            write(SAVED_ACCOUNTS, (<const char*>core.accounts)[: core.accounts_count * sizeof(Account)])
        at = 1
        while at < core.fresh:
            n = min(core.fresh - at, PIECE_BYTES // sizeof(Order))
            write(SAVED_ORDERS, (<const char*>&core.orders[at])[: n * sizeof(Order)])
            at += n
        at = 0
        while at < core.expiring_count:
            piece = PyBytes_FromStringAndSize(NULL, PIECE_BYTES // sizeof(SavedExpiry) * sizeof(SavedExpiry))
            n = save_expiries(core, at, <SavedExpiry*><char*>piece, PIECE_BYTES // sizeof(SavedExpiry))
            write(SAVED_EXPIRIES, piece[: n * sizeof(SavedExpiry)])
            at += n
        for i in range(core.symbols):
            for which in range(2):
                self._dump_side(i, which, write)
        for which in range(2):
            slot = 0
            while slot < core.ids[which].slots:
                piece = PyBytes_FromStringAndSize(NULL, PIECE_BYTES // sizeof(SavedId) * sizeof(SavedId))
                n = save_ids(core, which, &slot, <SavedId*><char*>piece, PIECE_BYTES // sizeof(SavedId))
                if n:
                    write(SAVED_IDS, piece[: n * sizeof(SavedId)])

    def _dump_side(self, uint32_t i, uint32_t s, write):
        cdef CBook* book = self.core.books[i]
        cdef int64_t key = book.sides[s].best
        cdef SavedSide where
        cdef FarLevel one
        where.symbol = i + 1
        where.side = s
        head = (<const char*>&where)[: sizeof(where)]
        memset(&one, 0, sizeof(one))
        pieces = []
        while key != EMPTY_SIDE:
            one.key = key
            one.level = level_at(book, s, key)[0]
            pieces.append((<const char*>&one)[: sizeof(one)])
            key = key_below(&book.sides[s], key)
            if key == EMPTY_SIDE or len(pieces) == LEVELS_PER_PIECE:
                write(SAVED_LEVELS, head + b"".join(pieces))
                pieces.clear()

    def restore(self, int kind, data):
        """One piece, as `dump` gave it, into an engine that nothing was applied to. Raises ValueError."""
        cdef Py_buffer view
        cdef const char* wrong = b"a piece of it is of no known kind, or has no whole number of entries"
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        cdef uint64_t size = <uint64_t>view.len
        with nogil:
            if kind == SAVED_CORE and size == sizeof(SavedCore):
                wrong = restore_core(self.core, &self.coming, <const SavedCore*>view.buf)
            elif kind == SAVED_INSTRUMENTS and size % COMMAND_BYTES == 0:
                wrong = restore_instruments(self.core, <const Command*>view.buf, size // COMMAND_BYTES)
            elif kind == SAVED_ACCOUNTS and size % sizeof(Account) == 0:
                wrong = restore_accounts(self.core, <const Account*>view.buf, size // sizeof(Account))
            elif kind == SAVED_ORDERS and size % sizeof(Order) == 0:
                wrong = restore_orders(self.core, &self.coming, <const Order*>view.buf, size // sizeof(Order))
            elif kind == SAVED_LEVELS and size >= sizeof(SavedSide) and (size - sizeof(SavedSide)) % sizeof(FarLevel) == 0:
                wrong = restore_levels(
                    self.core, <const SavedSide*>view.buf,
                    <const FarLevel*>(<const char*>view.buf + sizeof(SavedSide)),
                    (size - sizeof(SavedSide)) // sizeof(FarLevel),
                )
            elif kind == SAVED_EXPIRIES and size % sizeof(SavedExpiry) == 0:
                wrong = restore_expiries(
                    self.core, &self.coming, <const SavedExpiry*>view.buf, size // sizeof(SavedExpiry)
                )
            elif kind == SAVED_IDS and size % sizeof(SavedId) == 0:
                wrong = restore_ids(self.core, &self.coming, <const SavedId*>view.buf, size // sizeof(SavedId))
        PyBuffer_Release(&view)
        if wrong != NULL:
            raise ValueError(wrong.decode())

    def finish_restore(self):
        """Every piece was given. Raises ValueError when something is missing; compare the state hash then."""
        cdef const char* wrong
        with nogil:
            wrong = restored(self.core, &self.coming)
        if wrong != NULL:
            raise ValueError(wrong.decode())

    def definitions(self):
        """The instruments as the commands that would define them, and the accounts' names, each in order."""
        cdef uint32_t i
        instruments = [
            PyBytes_FromStringAndSize(<const char*>&self.core.books[i].definition, COMMAND_BYTES)
            for i in range(self.core.symbols)
        ]
        names = [(<const char*>self.core.accounts[i].name)[: self.core.accounts[i].length]
                 for i in range(self.core.accounts_count)]
        return instruments, names

    def check_invariants(self):
        cdef const char* broken = first_broken(self.core, True)
        if broken != NULL:
            raise AssertionError(broken.decode())
