# Everything that must be true between two commands, walked from scratch. For tests and debug builds.
from libc.stdint cimport int64_t, uint32_t, uint64_t
from engine.client_ids cimport vacant
from engine.expiry cimport broken_expiry
from engine.ladder cimport in_window, key_below, key_of, highest_key, level_at, price_of
from engine.layout cimport EMPTY_SIDE, FAR_LEVELS_MAX, OLDER_BIT, SEQUENCE_MASK, WINDOW_TICKS, WINDOW_WORDS
from engine.pool cimport find_order
from engine.types cimport Book, BookSide, Core, HIGH_WORDS, IdEntry, Level, MID_WORDS, Order

cdef inline const char* broken_queue(Core* core, Book* book, uint32_t symbol, uint32_t s, int64_t key,
                                     uint64_t* resting) noexcept nogil:
    cdef Level* level = level_at(book, s, key)
    cdef uint32_t number = level.head, previous = 0, count = 0
    cdef uint64_t low = 0, high = 0
    cdef Order* order
    if number == 0:
        return b"a level marked as used has no orders"
    while number != 0:
        order = &core.orders[number]
        if order.prev != previous:
            return b"links of a queue do not mirror each other"
        if order.symbol != symbol or order.side != s + 1 or key_of(book, order.price, s) != key:
            return b"an order stands in a queue that is not its own"
        if order.leaves <= 0 or order.leaves > order.quantity:
            return b"an order rests with nothing open, or with more than its quantity"
        if find_order(core, order.sequence) != number:
            return b"an order rests that the index does not know"
        if order.last_event == 0 or order.last_event > core.ordinal:
            return b"an order has no event of its own"
        low += <uint64_t>order.leaves
        high += low < <uint64_t>order.leaves
        count += 1
        if count > core.live:
            return b"a queue is longer than there are live orders"
        previous = number
        number = order.next
    if level.tail != previous:
        return b"a queue does not end at its tail"
    if level.count != count:
        return b"a level miscounts its orders"
    if level.lots_low != low or level.lots_high != high:
        return b"a level's lots are not the sum of its orders' leaves"
    resting[0] += count
    return NULL

cdef inline bint summary_wrong(const uint64_t* words, const uint64_t* above, uint64_t n) noexcept nogil:
    cdef uint64_t i
    for i in range(n):
        if (words[i] != 0) != ((above[i >> 6] >> (i & 63)) & 1):
            return True
    return False

cdef inline const char* broken_book(Core* core, Book* book, uint32_t symbol, bint thorough,
                                    uint64_t* resting) noexcept nogil:
    cdef uint32_t s, i
    cdef BookSide* side
    cdef int64_t key
    cdef const char* broken
    for s in range(2):
        side = &book.sides[s]
        if thorough and (summary_wrong(side.leaf, side.mid, WINDOW_WORDS) or
                         summary_wrong(side.mid, side.high, MID_WORDS) or
                         summary_wrong(side.high, &side.top, HIGH_WORDS)):
            return b"a summary bit differs from the word below it"
        if side.best != highest_key(side):
            return b"the best price is not the best"
        if side.far_count > FAR_LEVELS_MAX:
            return b"too many far levels"
        for i in range(side.far_count):
            if in_window(side.far[i].key) or (i != 0 and side.far[i - 1].key >= side.far[i].key):
                return b"far levels are not ascending outside the window"
        key = side.best
        while key != EMPTY_SIDE:
            broken = broken_queue(core, book, symbol, s, key, resting)
            if broken != NULL:
                return broken
            key = key_below(side, key)
    if book.sides[0].best + book.sides[1].best >= WINDOW_TICKS - 1:
        return b"the book is crossed"
    return NULL

cdef inline const char* broken_pool(Core* core) noexcept nogil:
    cdef uint64_t used = 0, free = 0, slot
    cdef uint32_t number, place
    cdef IdEntry* entry
    for slot in range(core.index_mask + 1):
        used += core.index[slot] != 0
    if used != core.live:
        return b"the index has not one entry per live order"
    number = core.free_head
    while number != 0 and free <= core.fresh:
        free += 1
        number = core.orders[number].next
    if free + core.live + 1 != core.fresh:
        return b"an order's place is neither live nor free"
    for number in range(1, core.fresh):
        place = core.orders[number].id_place
        if core.orders[number].sequence == 0 or place == 0:
            continue
        slot = (place & ~OLDER_BIT) - 1
        entry = &core.ids[1 if place & OLDER_BIT else 0].entries[slot]
        if vacant(&core.ids[1 if place & OLDER_BIT else 0], entry) or \
                entry.stamp & SEQUENCE_MASK != core.orders[number].sequence:
            return b"a live order's id is not where the order says"
    return NULL

cdef inline const char* first_broken(Core* core, bint thorough) noexcept nogil:
    """NULL, or the first invariant that does not hold. `thorough` reads every word of every bitmap as well."""
    cdef uint64_t resting = 0
    cdef uint32_t i
    cdef const char* broken
    for i in range(core.symbols):
        broken = broken_book(core, core.books[i], i + 1, thorough, &resting)
        if broken != NULL:
            return broken
    if resting != core.live or core.live > core.max_live_orders:
        return b"live orders are not what rests in the books"
    broken = broken_expiry(core)
    if broken != NULL:
        return broken
    return broken_pool(core) if thorough else NULL
