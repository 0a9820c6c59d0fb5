# NEW, CANCEL, REPLACE and matching. Everything is checked before the first change: after `ACCEPTED` nothing is refused.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from engine.client_ids cimport IdKey, has_id, hash_id, home_entry, known_id, remember_id
from engine.events cimport copy_text, refuse, report, report_cancelled
from engine.expiry cimport by_the_clock, expiry_of, schedule, unschedule
from engine.ladder cimport (
    can_fill, close_level, crosses, dequeue, enqueue, far_exhausted, key_below, key_of, level_at, limit_key,
    price_of, subtract_lots,
)
from engine.layout cimport (
    BAD_EXPIRY, BAD_FIELD, BAD_PRICE, BAD_QUANTITY, BOOK_FULL, BY_CLIENT, CANCEL_NEWEST, CANCEL_OLDEST, Command, DAY, DUPLICATE_CLIENT_ORDER_ID, EV_ACCEPTED,
    EV_FILL, EV_REPLACED, EXPIRES_NS_MAX, Event, FOK, FOK_NOT_FILLABLE, GTC, GTT, INSTRUMENT_HALTED, IOC, LIKELY, LIMIT, MAKER, MARKET,
    NOT_OWNER, NO_REASON, POST_ONLY, POST_ONLY_WOULD_CROSS, PREFETCH, PRICE_TICKS_MAX, QUANTITY_LOTS_MAX,
    REASON_HALTED, SELF_TRADE, TOO_MANY_FAR_LEVELS, UNFILLED_REST, UNKNOWN_ACCOUNT, UNKNOWN_ORDER, UNKNOWN_SYMBOL, UNLIKELY,
    WINDOW_TICKS,
)
from engine.pool cimport find_order, free_order, index_order, take_order, unindex_order
from engine.types cimport Book, Core, Level, Order

# ---- matching

cdef inline void leave(Core* core, uint32_t number) noexcept nogil:
    """A resting order goes; what it says is still readable until the next order comes."""
    cdef Order* order = &core.orders[number]
    dequeue(core, core.books[order.symbol - 1], order)
    unindex_order(core, order.sequence, number)
    if UNLIKELY(by_the_clock(order)):
        unschedule(core, number)

cdef inline bint fillable(Core* core, Book* book, Order* taker) noexcept nogil:
    """Can a FOK be filled at once? Orders of its own account, where it does not trade with them, are no help, and none lies on
    the way where it would have to go itself."""
    cdef uint32_t s = taker.side - 1, opposite = s ^ 1, number
    cdef int64_t limit = limit_key(book, taker), key = book.sides[opposite].best, lots = taker.leaves
    cdef Order* maker
    if LIKELY(not taker.flags & (CANCEL_NEWEST | CANCEL_OLDEST)):
        return can_fill(book, limit, s, lots)
    while limit + key >= WINDOW_TICKS - 1:
        number = level_at(book, opposite, key).head
        while number != 0:
            maker = &core.orders[number]
            if maker.account != taker.account:
                lots -= maker.leaves
                if lots <= 0:
                    return True
            elif taker.flags & CANCEL_NEWEST:
                return False
            number = maker.next
        key = key_below(&book.sides[opposite], key)
    return False

cdef inline uint8_t match(Core* core, Book* book, Order* taker) noexcept nogil:
    """Fill against the opposite side: best price first, oldest order first, at the maker's price. SELF_TRADE: it met an order
    of its own account and must go itself."""
    cdef uint32_t s = taker.side - 1, opposite = s ^ 1, number
    cdef int64_t limit = limit_key(book, taker), key, price, lots
    cdef Level* level
    cdef Order* maker
    cdef Event* event
    # Whose orders it does not trade with; no account is 0.
    cdef uint32_t own = taker.account if UNLIKELY(taker.flags & (CANCEL_NEWEST | CANCEL_OLDEST)) else 0
    while taker.leaves != 0 and crosses(book, limit, s):
        key = book.sides[opposite].best
        price = price_of(book, key, opposite)
        level = level_at(book, opposite, key)
        while True:
            number = level.head
            maker = &core.orders[number]
            if UNLIKELY(maker.account == own):
                if taker.flags & CANCEL_OLDEST:
                    leave(core, number)
                    report_cancelled(core, maker, SELF_TRADE)
                    free_order(core, number)
                if taker.flags & CANCEL_NEWEST:
                    return SELF_TRADE
                break
            lots = taker.leaves if taker.leaves < maker.leaves else maker.leaves
            taker.leaves -= lots
            maker.leaves -= lots
            subtract_lots(level, lots)
            core.trades += 1
            event = report(core, maker, EV_FILL, price, lots, maker.leaves)
            event.flags |= MAKER
            event.trade = core.trades
            event = report(core, taker, EV_FILL, price, lots, taker.leaves)
            event.trade = core.trades
            if maker.leaves != 0:
                return NO_REASON
            level.head = maker.next
            level.count -= 1
            unindex_order(core, maker.sequence, number)
            if UNLIKELY(by_the_clock(maker)):
                unschedule(core, number)
            free_order(core, number)
            if level.head == 0:
                close_level(book, opposite, key)
                break
            core.orders[level.head].prev = 0
            if taker.leaves == 0:
                return NO_REASON
    return NO_REASON

# ---- NEW

cdef inline uint8_t why_not_new(Core* core, const Command* c, IdKey* id_key) noexcept nogil:
    cdef Book* book
    cdef uint32_t s
    cdef int64_t key
    cdef bint resting
    if UNLIKELY(core.halted):
        return REASON_HALTED
    if UNLIKELY(c.account == 0 or c.account > core.accounts_count):
        return UNKNOWN_ACCOUNT
    if UNLIKELY(c.symbol == 0 or c.symbol > core.symbols):
        return UNKNOWN_SYMBOL
    book = core.books[c.symbol - 1]
    if UNLIKELY(not book.open):
        return INSTRUMENT_HALTED
    if UNLIKELY(<uint8_t>(c.side - 1) > 1 or <uint8_t>(c.type - 1) > 1 or <uint8_t>(c.tif - 1) >= core.times_in_force):
        return BAD_FIELD
    resting = c.tif == GTC or UNLIKELY(c.tif >= DAY)
    if UNLIKELY(c.flags & ~core.order_flags or (c.type == MARKET and resting)):
        return BAD_FIELD
    if UNLIKELY(c.flags & POST_ONLY and (c.type != LIMIT or not resting)):
        return BAD_FIELD
    if UNLIKELY(c.quantity < 1 or c.quantity > QUANTITY_LOTS_MAX):
        return BAD_QUANTITY
    if LIKELY(c.type == LIMIT):
        if UNLIKELY(c.price < 1 or c.price > PRICE_TICKS_MAX):
            return BAD_PRICE
    elif c.price != 0:
        return BAD_PRICE
    if UNLIKELY(c.tif == GTT) and (c.extra <= core.time_ns or c.extra > EXPIRES_NS_MAX):
        return BAD_EXPIRY
    if has_id(c) and UNLIKELY(known_id(core, id_key) != NULL):
        return DUPLICATE_CLIENT_ORDER_ID
    if resting:
        s = c.side - 1
        key = key_of(book, c.price, s)
        if UNLIKELY(c.flags & POST_ONLY and crosses(book, key, s)):
            return POST_ONLY_WOULD_CROSS
        if UNLIKELY(core.live >= core.max_live_orders):
            return BOOK_FULL
        if UNLIKELY(far_exhausted(&book.sides[s], key)):
            return TOO_MANY_FAR_LEVELS
    return NO_REASON

cdef inline void new_order(Core* core, const Command* c) noexcept nogil:
    cdef IdKey id_key
    cdef Order taker
    cdef Book* book
    cdef Event* event
    cdef uint32_t number
    cdef uint8_t reason
    id_key.key[0] = id_key.key[1] = 0
    if LIKELY(has_id(c)):
        hash_id(core, c, &id_key)
        PREFETCH(home_entry(&core.ids[0], &id_key))
        PREFETCH(home_entry(&core.ids[1], &id_key))
    reason = why_not_new(core, c, &id_key)
    if UNLIKELY(reason != NO_REASON):
        refuse(core, c, reason)
        return
    taker.next = taker.prev = 0
    taker.account = c.account
    taker.symbol = c.symbol
    taker.sequence = core.sequence
    taker.price = c.price
    taker.quantity = taker.leaves = c.quantity
    taker.last_event = 0
    taker.side = c.side
    taker.type = c.type
    taker.tif = c.tif
    taker.flags = c.flags
    taker.id_place = remember_id(core, c, &id_key) if LIKELY(has_id(c)) else 0
    event = report(core, &taker, EV_ACCEPTED, taker.price, taker.quantity, taker.leaves)
    copy_text(event, c)
    if UNLIKELY(by_the_clock(&taker)):
        event.trade = expiry_of(c, core.time_ns)
    book = core.books[c.symbol - 1]
    if UNLIKELY(c.tif == FOK) and not fillable(core, book, &taker):
        report_cancelled(core, &taker, FOK_NOT_FILLABLE)
        return
    reason = match(core, book, &taker)
    if taker.leaves == 0:
        return
    if c.tif == IOC or c.tif == FOK or UNLIKELY(reason != NO_REASON):
        report_cancelled(core, &taker, UNFILLED_REST if reason == NO_REASON else reason)
        return
    number = take_order(core)
    core.orders[number] = taker
    index_order(core, taker.sequence, number)
    if UNLIKELY(by_the_clock(&taker)):
        schedule(core, number, expiry_of(c, core.time_ns))
    enqueue(core, book, number)

# ---- CANCEL

cdef inline void cancel_order(Core* core, const Command* c) noexcept nogil:
    cdef uint32_t number = find_order(core, <uint64_t>c.target)
    cdef Order* order = &core.orders[number]
    if UNLIKELY(number == 0):
        refuse(core, c, UNKNOWN_ORDER)
        return
    if UNLIKELY(c.account != 0 and c.account != order.account):
        refuse(core, c, NOT_OWNER)
        return
    leave(core, number)
    report_cancelled(core, order, BY_CLIENT)
    free_order(core, number)

# ---- REPLACE

cdef inline uint8_t why_not_replace(Core* core, const Command* c, Order* order, IdKey* id_key) noexcept nogil:
    cdef Book* book
    cdef uint32_t s
    cdef int64_t key
    if UNLIKELY(core.halted):
        return REASON_HALTED
    if UNLIKELY(order == NULL):
        return UNKNOWN_ORDER
    if UNLIKELY(c.account != 0 and c.account != order.account):
        return NOT_OWNER
    book = core.books[order.symbol - 1]
    if UNLIKELY(not book.open):
        return INSTRUMENT_HALTED
    if UNLIKELY(c.quantity <= order.quantity - order.leaves or c.quantity > QUANTITY_LOTS_MAX):
        return BAD_QUANTITY
    if UNLIKELY(c.price < 1 or c.price > PRICE_TICKS_MAX):
        return BAD_PRICE
    if has_id(c) and UNLIKELY(known_id(core, id_key) != NULL):
        return DUPLICATE_CLIENT_ORDER_ID
    s = order.side - 1
    key = key_of(book, c.price, s)
    if UNLIKELY(order.flags & POST_ONLY and crosses(book, key, s)):
        return POST_ONLY_WOULD_CROSS
    if UNLIKELY(far_exhausted(&book.sides[s], key)):
        return TOO_MANY_FAR_LEVELS
    return NO_REASON

cdef inline void replace_order(Core* core, const Command* c) noexcept nogil:
    cdef uint32_t number = find_order(core, <uint64_t>c.target)
    cdef Order* order = &core.orders[number] if number != 0 else NULL
    cdef Book* book
    cdef IdKey id_key
    cdef int64_t shrinks_by
    cdef uint8_t reason
    id_key.key[0] = id_key.key[1] = 0
    if has_id(c):
        hash_id(core, c, &id_key)
    reason = why_not_replace(core, c, order, &id_key)
    if UNLIKELY(reason != NO_REASON):
        refuse(core, c, reason)
        return
    if has_id(c):
        remember_id(core, c, &id_key)
    book = core.books[order.symbol - 1]
    shrinks_by = order.quantity - c.quantity
    if c.price == order.price and shrinks_by >= 0:
        subtract_lots(level_at(book, order.side - 1, key_of(book, order.price, order.side - 1)), shrinks_by)
        order.quantity -= shrinks_by
        order.leaves -= shrinks_by
        report(core, order, EV_REPLACED, order.price, order.quantity, order.leaves)
        return
    dequeue(core, book, order)
    order.price = c.price
    order.quantity -= shrinks_by
    order.leaves -= shrinks_by
    report(core, order, EV_REPLACED, order.price, order.quantity, order.leaves)
    reason = match(core, book, order)
    if order.leaves != 0 and LIKELY(reason == NO_REASON):
        enqueue(core, book, number)
        return
    if order.leaves != 0:
        report_cancelled(core, order, reason)
    unindex_order(core, order.sequence, number)
    if UNLIKELY(by_the_clock(order)):
        unschedule(core, number)
    free_order(core, number)
