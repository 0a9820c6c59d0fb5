# The price levels of one instrument and the queues in them.
#
# Keys: tick u = price - base_ticks for a bid, WINDOW_TICKS - 1 - u for an offer. So a larger key is the better price on
# either side, the best level is the highest set bit, and "does it cross" is one sum for both sides. Keys outside
# 0 .. WINDOW_TICKS - 1 are far levels: a short sorted array per side, correct and not fast, hence its cap.
#
# Always true: bit set == level has orders; level.lots == sum of its orders' leaves; best == highest key; between two
# commands the book is not crossed.
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memmove
from engine.layout cimport (
    EMPTY_SIDE, FAR_LEVELS_MAX, HIGH_BIT, LIKELY, MARKET, NO_LIMIT, UNLIKELY, WINDOW_TICKS,
)
from engine.types cimport Book, BookSide, Core, FarLevel, Level, Order

# ---- keys; `s` is 0 for buy, 1 for sell

cdef inline int64_t mirrored(int64_t tick, uint32_t s) noexcept nogil:
    """tick -> key and key -> tick: its own inverse, and no branch."""
    cdef int64_t ones = -<int64_t>s
    return (tick ^ ones) + (WINDOW_TICKS & ones)

cdef inline int64_t key_of(Book* book, int64_t price, uint32_t s) noexcept nogil:
    return mirrored(price - book.base_ticks, s)

cdef inline int64_t price_of(Book* book, int64_t key, uint32_t s) noexcept nogil:
    return book.base_ticks + mirrored(key, s)

cdef inline int64_t limit_key(Book* book, Order* order) noexcept nogil:
    if UNLIKELY(order.type == MARKET):
        return NO_LIMIT
    return key_of(book, order.price, order.side - 1)

cdef inline bint in_window(int64_t key) noexcept nogil:
    return <uint64_t>key < <uint64_t>WINDOW_TICKS

cdef inline bint crosses(Book* book, int64_t key, uint32_t s) noexcept nogil:
    """May an order of side `s` with this key trade at once?"""
    return key + book.sides[s ^ 1].best >= WINDOW_TICKS - 1

# ---- bitmap

cdef inline bint mark(BookSide* side, uint64_t key) noexcept nogil:
    """Sets the bit; says whether it was set before. A word above is written only when the word below was empty."""
    cdef uint64_t bit = <uint64_t>1 << (key & 63), word = side.leaf[key >> 6]
    side.leaf[key >> 6] = word | bit
    if LIKELY(word != 0):
        return (word & bit) != 0
    word = side.mid[key >> 12]
    side.mid[key >> 12] = word | (<uint64_t>1 << ((key >> 6) & 63))
    if word == 0:
        word = side.high[key >> 18]
        side.high[key >> 18] = word | (<uint64_t>1 << ((key >> 12) & 63))
        if word == 0:
            side.top |= <uint64_t>1 << (key >> 18)
    return False

cdef inline void unmark(BookSide* side, uint64_t key) noexcept nogil:
    side.leaf[key >> 6] &= ~(<uint64_t>1 << (key & 63))
    if LIKELY(side.leaf[key >> 6] != 0):
        return
    side.mid[key >> 12] &= ~(<uint64_t>1 << ((key >> 6) & 63))
    if side.mid[key >> 12] == 0:
        side.high[key >> 18] &= ~(<uint64_t>1 << ((key >> 12) & 63))
        if side.high[key >> 18] == 0:
            side.top &= ~(<uint64_t>1 << (key >> 18))

cdef inline uint64_t descend(BookSide* side, uint64_t high_index) noexcept nogil:
    """The highest marked key under a word of `high` that is not empty."""
    cdef uint64_t i = high_index << 6 | <uint64_t>HIGH_BIT(side.high[high_index])
    i = i << 6 | <uint64_t>HIGH_BIT(side.mid[i])
    return i << 6 | <uint64_t>HIGH_BIT(side.leaf[i])

cdef inline uint64_t below(uint64_t word, uint64_t bit) noexcept nogil:
    return word & ((<uint64_t>1 << bit) - 1)

cdef inline int64_t marked_below(BookSide* side, uint64_t key) noexcept nogil:
    """The highest marked key of the window under `key`, or EMPTY_SIDE."""
    cdef uint64_t word = below(side.leaf[key >> 6], key & 63), i
    if word != 0:
        return <int64_t>(key >> 6 << 6 | <uint64_t>HIGH_BIT(word))
    word = below(side.mid[key >> 12], (key >> 6) & 63)
    if word != 0:
        i = key >> 12 << 6 | <uint64_t>HIGH_BIT(word)
        return <int64_t>(i << 6 | <uint64_t>HIGH_BIT(side.leaf[i]))
    word = below(side.high[key >> 18], (key >> 12) & 63)
    if word != 0:
        i = key >> 18 << 6 | <uint64_t>HIGH_BIT(word)
        i = i << 6 | <uint64_t>HIGH_BIT(side.mid[i])
        return <int64_t>(i << 6 | <uint64_t>HIGH_BIT(side.leaf[i]))
    word = below(side.top, key >> 18)
    return <int64_t>descend(side, <uint64_t>HIGH_BIT(word)) if word != 0 else EMPTY_SIDE

cdef inline int64_t highest_key(BookSide* side) noexcept nogil:
    cdef int64_t key = EMPTY_SIDE
    if LIKELY(side.top != 0):
        key = <int64_t>descend(side, <uint64_t>HIGH_BIT(side.top))
    if UNLIKELY(side.far_count != 0) and side.far[side.far_count - 1].key > key:
        key = side.far[side.far_count - 1].key
    return key

# ---- far levels

cdef inline uint32_t far_place(BookSide* side, int64_t key) noexcept nogil:
    """Index of the first far level whose key is not smaller."""
    cdef uint32_t low = 0, high = side.far_count, middle
    while low < high:
        middle = (low + high) >> 1
        if side.far[middle].key < key:
            low = middle + 1
        else:
            high = middle
    return low

cdef inline bint far_exhausted(BookSide* side, int64_t key) noexcept nogil:
    """Would resting at this key need one far level too many?"""
    cdef uint32_t place
    if LIKELY(in_window(key)) or side.far_count < FAR_LEVELS_MAX:
        return False
    place = far_place(side, key)
    return place == side.far_count or side.far[place].key != key

cdef inline int64_t key_below(BookSide* side, int64_t key) noexcept nogil:
    """The next worse key with orders, or EMPTY_SIDE: how a walk over the levels goes on."""
    cdef uint32_t place = far_place(side, key)
    cdef int64_t far = side.far[place - 1].key if place != 0 else EMPTY_SIDE, near = EMPTY_SIDE
    if key >= WINDOW_TICKS:
        near = <int64_t>descend(side, <uint64_t>HIGH_BIT(side.top)) if side.top != 0 else EMPTY_SIDE
    elif key > 0:
        near = marked_below(side, <uint64_t>key)
    return far if far > near else near

# ---- levels and queues

cdef inline Level* level_at(Book* book, uint32_t s, int64_t key) noexcept nogil:
    """The level of a key that has orders."""
    if LIKELY(in_window(key)):
        return &book.levels[mirrored(key, s)]
    return &book.sides[s].far[far_place(&book.sides[s], key)].level

cdef inline void add_lots(Level* level, int64_t lots) noexcept nogil:
    level.lots_low += <uint64_t>lots
    level.lots_high += level.lots_low < <uint64_t>lots

cdef inline void subtract_lots(Level* level, int64_t lots) noexcept nogil:
    level.lots_high -= level.lots_low < <uint64_t>lots
    level.lots_low -= <uint64_t>lots

cdef inline Level* open_level(Book* book, uint32_t s, int64_t key) noexcept nogil:
    """The level of a key, made empty when it had no orders. Room among the far levels was checked before."""
    cdef BookSide* side = &book.sides[s]
    cdef Level* level
    cdef uint32_t place
    if LIKELY(in_window(key)):
        level = &book.levels[mirrored(key, s)]
        if mark(side, <uint64_t>key):
            return level
    else:
        place = far_place(side, key)
        level = &side.far[place].level
        if place < side.far_count and side.far[place].key == key:
            return level
        memmove(&side.far[place + 1], &side.far[place], (side.far_count - place) * sizeof(FarLevel))
        side.far_count += 1
        side.far[place].key = key
    level.head = level.tail = level.count = level.lots_high = 0
    level.lots_low = 0
    if key > side.best:
        side.best = key
    return level

cdef inline void close_level(Book* book, uint32_t s, int64_t key) noexcept nogil:
    """Its last order has left."""
    cdef BookSide* side = &book.sides[s]
    cdef uint32_t place
    if LIKELY(in_window(key)):
        unmark(side, <uint64_t>key)
    else:
        place = far_place(side, key)
        side.far_count -= 1
        memmove(&side.far[place], &side.far[place + 1], (side.far_count - place) * sizeof(FarLevel))
    if key == side.best:        # a branch on purpose: always looking for the best costs more than its mispredictions
        side.best = highest_key(side)

cdef inline void enqueue(Core* core, Book* book, uint32_t number) noexcept nogil:
    """The order becomes the last in the queue of its price."""
    cdef Order* order = &core.orders[number]
    cdef uint32_t s = order.side - 1
    cdef Level* level = open_level(book, s, key_of(book, order.price, s))
    order.next = 0
    order.prev = level.tail
    if level.tail != 0:
        core.orders[level.tail].next = number
    else:
        level.head = number
    level.tail = number
    level.count += 1
    add_lots(level, order.leaves)

cdef inline void dequeue(Core* core, Book* book, Order* order) noexcept nogil:
    cdef uint32_t s = order.side - 1
    cdef int64_t key = key_of(book, order.price, s)
    cdef Level* level = level_at(book, s, key)
    if order.prev != 0:
        core.orders[order.prev].next = order.next
    else:
        level.head = order.next
    if order.next != 0:
        core.orders[order.next].prev = order.prev
    else:
        level.tail = order.prev
    level.count -= 1
    subtract_lots(level, order.leaves)
    if level.count == 0:
        close_level(book, s, key)

cdef inline bint can_fill(Book* book, int64_t limit, uint32_t s, int64_t lots) noexcept nogil:
    """Does the other side hold `lots` at prices that `limit` allows?"""
    cdef uint32_t opposite = s ^ 1
    cdef int64_t key = book.sides[opposite].best
    cdef Level* level
    while limit + key >= WINDOW_TICKS - 1:
        level = level_at(book, opposite, key)
        if level.lots_high != 0 or level.lots_low >= <uint64_t>lots:
            return True
        lots -= <int64_t>level.lots_low
        key = key_below(&book.sides[opposite], key)
    return False
