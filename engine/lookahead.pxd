# Asking for memory before it is needed. A replay and a busy engine get many records per call, and with a million orders
# most of what each touches lies in no cache: the id's two slots, the index, the order, its neighbours and its level. One
# record is looked at in three steps, each of which reads only what the step before it has asked for.
#
# Nothing here changes anything, and everything read may be stale by the time the record's turn comes.
from libc.stdint cimport int64_t, uint32_t, uint64_t
from engine.client_ids cimport IdKey, has_id, hash_id, home_entry
from engine.ladder cimport in_window
from engine.layout cimport Command, FIBONACCI, NEW, PREFETCH, Record
from engine.pool cimport home_slot
from engine.types cimport Book, Core, Order

cdef enum:
    FAR = 24                    # records ahead: slots of tables
    MIDDLE = 12                 # orders, and levels of new ones
    NEAR = 5                    # neighbours and levels of orders

cdef inline uint32_t probably(Core* core, const Command* c) noexcept nogil:
    """The number of the order that a command names, if it stands in its home slot."""
    cdef uint64_t hashed = <uint64_t>c.target * FIBONACCI, entry = core.index[hashed >> core.index_shift]
    return <uint32_t>entry if (entry ^ hashed) >> 32 == 0 else 0

cdef inline void look_far(Core* core, const Record* record) noexcept nogil:
    cdef const Command* c = &record.command
    cdef IdKey key
    if c.kind != NEW:
        PREFETCH(&core.index[home_slot(core, <uint64_t>c.target)])
        return
    PREFETCH(&core.index[home_slot(core, record.sequence)])
    if has_id(c):
        hash_id(core, c, &key)
        PREFETCH(home_entry(&core.ids[0], &key))
        PREFETCH(home_entry(&core.ids[1], &key))

cdef inline void look_middle(Core* core, const Record* record) noexcept nogil:
    cdef const Command* c = &record.command
    cdef Book* book
    cdef int64_t tick
    if c.kind != NEW:
        PREFETCH(&core.orders[probably(core, c)])
    elif <uint32_t>(c.symbol - 1) < core.symbols:
        book = core.books[c.symbol - 1]
        tick = c.price - book.base_ticks
        if in_window(tick):
            PREFETCH(&book.levels[tick])

cdef inline void look_near(Core* core, const Record* record) noexcept nogil:
    cdef const Command* c = &record.command
    cdef Book* book
    cdef Order* order
    cdef int64_t tick
    if c.kind == NEW:
        if <uint32_t>(c.symbol - 1) < core.symbols:
            book = core.books[c.symbol - 1]
            tick = c.price - book.base_ticks
            if in_window(tick):
                PREFETCH(&core.orders[book.levels[tick].tail])
        return
    order = &core.orders[probably(core, c)]
    PREFETCH(&core.orders[order.next])
    PREFETCH(&core.orders[order.prev])
    if <uint32_t>(order.symbol - 1) < core.symbols:
        book = core.books[order.symbol - 1]
        tick = order.price - book.base_ticks
        if in_window(tick):
            PREFETCH(&book.levels[tick])
