# Taking an engine's state apart into pieces, and putting a fresh engine together from them. Files, checksums and what the
# state belongs to are not here (stack/matcher/snapshot_file.py).
#
# Kept: counters, definitions, accounts, every order's place in the pool as it is, the levels that have orders, and the ids
# of both generations with the secret they are hashed with. Made anew: bitmaps, the index, the best prices.
#
# Pieces come from files, so every number that names a place is checked before it is used; that they are the right ones is
# for the state hash to say.
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memmove
from engine.administration cimport add_book, bare_definition
from engine.client_ids cimport grow_ids, replace_table, table_make, vacant
from engine.expiry cimport broken_expiry, by_the_clock, schedule
from engine.ladder cimport far_place, highest_key, in_window, mark, mirrored
from engine.layout cimport Command, OLDER_BIT, RULES_VERSION, SEQUENCE_BITS, TEXT_BYTES
from engine.pool cimport index_order
from engine.rules cimport set_rules
from engine.types cimport Account, Book, BookSide, Core, FAR_LEVELS, FarLevel, IdEntry, IdTable, Order

cdef enum:
    SAVED_CORE = 1, SAVED_INSTRUMENTS = 2, SAVED_ACCOUNTS = 3, SAVED_ORDERS = 4, SAVED_LEVELS = 5, SAVED_IDS = 6
    SAVED_EXPIRIES = 7              # where there are any
    PIECE_BYTES = 1 << 20
    RULES_SHIFT = 8

cdef struct SavedTable:
    uint64_t slots, count, generation

cdef struct SavedCore:
    uint64_t sequence, ordinal, trades
    uint64_t halted             # and rules - 1 from bit RULES_SHIFT on
    uint64_t live, max_live_orders, fresh, free_head
    uint64_t younger
    uint64_t secret[2]
    SavedTable ids[2]

cdef struct SavedSide:          # then FarLevel entries
    uint32_t symbol, side

cdef struct SavedId:
    uint64_t slot               # OLDER_BIT is set for table 1
    IdEntry entry

cdef struct SavedExpiry:
    uint64_t number             # of the order
    uint64_t expires_ns

cdef struct Restoring:
    uint64_t orders             # how many places of the pool came so far, number 0 included
    uint64_t ids[2]
    uint64_t slots[2]           # that this engine's settings ask for

# ---- out

cdef inline void save_core(Core* core, SavedCore* saved) noexcept nogil:
    cdef uint32_t which
    saved.sequence = core.sequence
    saved.ordinal = core.ordinal
    saved.trades = core.trades
    saved.halted = core.halted | <uint64_t>(core.rules - 1) << RULES_SHIFT
    saved.live = core.live
    saved.max_live_orders = core.max_live_orders
    saved.fresh = core.fresh
    saved.free_head = core.free_head
    saved.younger = core.younger
    saved.secret[0] = core.secret[0]
    saved.secret[1] = core.secret[1]
    for which in range(2):
        saved.ids[which].slots = core.ids[which].slots
        saved.ids[which].count = core.ids[which].count
        saved.ids[which].generation = core.ids[which].generation

cdef inline uint64_t save_ids(Core* core, uint32_t which, uint64_t* slot, SavedId* saved, uint64_t room) noexcept nogil:
    """Fills `saved` with what the table holds from `slot` on, which moves along; returns how many."""
    cdef IdTable* table = &core.ids[which]
    cdef uint64_t n = 0
    while slot[0] < table.slots and n < room:
        if not vacant(table, &table.entries[slot[0]]):
            saved[n].slot = slot[0] | (<uint64_t>OLDER_BIT if which != 0 else 0)
            saved[n].entry = table.entries[slot[0]]
            n += 1
        slot[0] += 1
    return n

cdef inline uint64_t save_expiries(Core* core, uint64_t since, SavedExpiry* saved, uint64_t room) noexcept nogil:
    """As they stand in the heap, from the place `since` on; returns how many."""
    cdef uint64_t n = 0
    while since + n < core.expiring_count and n < room:
        saved[n].number = core.expiring[since + n]
        saved[n].expires_ns = core.expires_ns[core.expiring[since + n]]
        n += 1
    return n

# ---- in; a text says what is wrong, NULL: nothing

cdef inline const char* restore_core(Core* core, Restoring* coming, const SavedCore* saved) noexcept nogil:
    cdef uint32_t which
    cdef IdTable table
    if core.sequence != 0 or core.symbols != 0 or coming.orders != 0:
        return b"the engine is not a fresh one"
    if saved.max_live_orders != core.max_live_orders:
        return b"it was taken under another max_live_orders"
    if (saved.fresh < 1 or saved.fresh > <uint64_t>core.max_live_orders + 1 or saved.free_head >= saved.fresh
            or saved.live >= saved.fresh or saved.younger > 1):
        return b"its counters contradict one another"
    if saved.halted >> RULES_SHIFT >= RULES_VERSION:
        return b"it was taken under rules that this engine does not know"
    for which in range(2):
        coming.slots[which] = core.ids[which].slots
        if saved.ids[which].slots < 64 or saved.ids[which].slots >= OLDER_BIT or saved.ids[which].generation < 1:
            return b"its tables of ids cannot be"
        if saved.ids[which].slots != core.ids[which].slots:
            if not table_make(&table, saved.ids[which].slots, core.faulted_in):
                return b"there is no memory for its tables of ids"
            replace_table(core, which, &table)
        core.ids[which].generation = <uint32_t>saved.ids[which].generation
        core.ids[which].count = saved.ids[which].count
    core.sequence = saved.sequence
    core.ordinal = saved.ordinal
    core.trades = saved.trades
    core.halted = saved.halted & 1
    set_rules(core, 1 + <uint32_t>(saved.halted >> RULES_SHIFT))
    core.live = <uint32_t>saved.live
    core.fresh = <uint32_t>saved.fresh
    core.free_head = <uint32_t>saved.free_head
    core.younger = <uint32_t>saved.younger
    core.secret[0] = saved.secret[0]
    core.secret[1] = saved.secret[1]
    coming.orders = 1
    return NULL

cdef inline const char* restore_instruments(Core* core, const Command* definitions, uint64_t count) noexcept nogil:
    cdef uint64_t i
    cdef Command bare
    for i in range(count):
        bare_definition(&definitions[i], &bare)
        if bare.symbol != core.symbols + 1:
            return b"an instrument is missing"
        if not add_book(core, &bare):
            return b"there is no memory for its books"
    return NULL

cdef inline const char* restore_accounts(Core* core, const Account* accounts, uint64_t count) noexcept nogil:
    cdef uint64_t total = core.accounts_count + count
    cdef uint64_t i
    cdef Account* grown
    for i in range(count):
        if accounts[i].length < 1 or accounts[i].length > TEXT_BYTES:
            return b"an account in it cannot be"
    grown = <Account*>realloc(core.accounts, (total + 16) * sizeof(Account))
    if grown == NULL:
        return b"there is no memory for its accounts"
    core.accounts = grown
    memcpy(grown + core.accounts_count, accounts, count * sizeof(Account))
    core.accounts_count = <uint32_t>total
    core.accounts_capacity = <uint32_t>total + 16
    return NULL

cdef inline const char* restore_orders(Core* core, Restoring* coming, const Order* orders, uint64_t count) noexcept nogil:
    cdef uint64_t i
    cdef const Order* order
    if coming.orders == 0 or coming.orders + count > core.fresh:
        return b"it has more orders than it says"
    for i in range(count):
        order = &orders[i]
        if order.next >= core.fresh or (order.sequence != 0 and (
                order.prev >= core.fresh or <uint32_t>(order.symbol - 1) >= core.symbols or order.side < 1
                or order.side > 2 or order.sequence > core.sequence)):
            return b"an order in it cannot be"
        core.orders[coming.orders + i] = order[0]
        if order.sequence != 0:
            index_order(core, order.sequence, <uint32_t>(coming.orders + i))
    coming.orders += count
    return NULL

cdef inline const char* restore_levels(Core* core, const SavedSide* where, const FarLevel* levels, uint64_t count) noexcept nogil:
    cdef uint64_t i
    cdef uint32_t place
    cdef Book* book
    cdef BookSide* side
    if <uint32_t>(where.symbol - 1) >= core.symbols or where.side > 1:
        return b"it has levels of a book that is not there"
    book = core.books[where.symbol - 1]
    side = &book.sides[where.side]
    for i in range(count):
        if levels[i].level.head - 1 >= core.fresh - 1 or levels[i].level.tail - 1 >= core.fresh - 1:
            return b"a level in it cannot be"
        if in_window(levels[i].key):
            mark(side, <uint64_t>levels[i].key)
            book.levels[mirrored(levels[i].key, where.side)] = levels[i].level
            continue
        if side.far_count >= FAR_LEVELS:
            return b"it has too many far levels"
        place = far_place(side, levels[i].key)
        memmove(&side.far[place + 1], &side.far[place], (side.far_count - place) * sizeof(FarLevel))
        side.far[place] = levels[i]
        side.far_count += 1
    side.best = highest_key(side)
    return NULL

cdef inline const char* restore_ids(Core* core, Restoring* coming, const SavedId* saved, uint64_t count) noexcept nogil:
    cdef uint64_t i, slot
    cdef uint32_t which
    cdef IdTable* table
    for i in range(count):
        which = 1 if saved[i].slot & OLDER_BIT else 0
        slot = saved[i].slot & ~<uint64_t>OLDER_BIT
        table = &core.ids[which]
        if slot >= table.slots or saved[i].entry.stamp >> SEQUENCE_BITS != table.generation:
            return b"an id in it cannot be"
        table.entries[slot] = saved[i].entry
        coming.ids[which] += 1
    return NULL

cdef inline const char* restore_expiries(Core* core, Restoring* coming, const SavedExpiry* saved, uint64_t count) noexcept nogil:
    cdef uint64_t i, number
    if coming.orders != core.fresh:
        return b"it says when orders end before it says which there are"
    for i in range(count):
        number = saved[i].number
        if number - 1 >= core.fresh - 1 or core.expiring_count >= core.live:
            return b"what is to end in it cannot be"
        if core.orders[number].sequence == 0 or not by_the_clock(&core.orders[number]):
            return b"an order in it is to end that does not end by the clock"
        schedule(core, <uint32_t>number, saved[i].expires_ns)
    return NULL

cdef inline const char* restored(Core* core, Restoring* coming) noexcept nogil:
    """Everything has come: is it all there? Then the tables of ids grow to what the settings ask for."""
    cdef uint32_t which, number, live = 0, place
    cdef Order* order
    cdef const char* wrong
    if coming.orders != core.fresh:
        return b"it has fewer orders than it says"
    for which in range(2):
        if coming.ids[which] != core.ids[which].count:
            return b"it has not as many ids as it says"
    for number in range(1, core.fresh):
        order = &core.orders[number]
        live += order.sequence != 0
        place = order.id_place & ~OLDER_BIT
        if order.sequence != 0 and place > core.ids[1 if order.id_place & OLDER_BIT else 0].slots:
            return b"an order's id stands outside its table"
    if live != core.live:
        return b"it has not as many live orders as it says"
    wrong = broken_expiry(core)
    if wrong != NULL:
        return wrong
    for which in range(2):
        while core.ids[which].slots < coming.slots[which]:
            if not grow_ids(core, which):
                return b"there is no memory for its tables of ids"
    return NULL
