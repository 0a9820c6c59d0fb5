# The rare commands: mass cancel, expiry, halt and resume, definitions, the roll of client ids, the adoption of rules.
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport qsort, realloc
from libc.string cimport memcmp, memcpy, memset
from engine.client_ids cimport roll_ids, text_length
from engine.events cimport copy_text, emit, refuse, report_cancelled
from engine.expiry cimport next_expiry
from engine.layout cimport (
    BAD_FIELD, Command, DEFINE_INSTRUMENT, EMPTY_SIDE, EV_ACCOUNT_DEFINED, EV_CLIENT_IDS_ROLLED, EV_HALTED,
    EV_INSTRUMENT_DEFINED, EV_MASS_CANCELLED, EV_ORDERS_EXPIRED, EV_RESUMED, EV_RULES_ADOPTED, EXPIRED, Event, HALTED_STATE, OPEN,
    PRICE_TICKS_MAX, REASON_MASS_CANCEL, RULES_VERSION, SCALE_MAX, WINDOW_TICKS, keep_pages_small, release, reserve,
)
from engine.orders cimport leave
from engine.pool cimport find_order, free_order
from engine.rules cimport set_rules
from engine.types cimport Account, Book, Core, Level, Order

# ---- mass cancel

cdef inline int ascending(const void* a, const void* b) noexcept nogil:
    cdef uint64_t left = (<const uint64_t*>a)[0], right = (<const uint64_t*>b)[0]
    return (left > right) - (left < right)

cdef inline uint32_t select_orders(Core* core, uint32_t account, uint32_t symbol, uint64_t after) noexcept nogil:
    """Fills core.selection with the sequences of the live orders asked for, ascending; returns how many."""
    cdef uint32_t number, n = 0
    cdef Order* order
    for number in range(1, core.fresh):
        order = &core.orders[number]
        if (order.sequence > after and (account == 0 or account == order.account)
                and (symbol == 0 or symbol == order.symbol)):
            core.selection[n] = order.sequence
            n += 1
    qsort(core.selection, n, sizeof(uint64_t), ascending)
    return n

cdef inline void mass_cancel(Core* core, const Command* c) noexcept nogil:
    cdef uint32_t n = select_orders(core, c.account, c.symbol, 0), i, number
    cdef Event* event
    for i in range(n):
        number = find_order(core, core.selection[i])
        leave(core, number)
        report_cancelled(core, &core.orders[number], REASON_MASS_CANCEL)
        free_order(core, number)
    event = emit(core, EV_MASS_CANCELLED)
    event.account = c.account
    event.symbol = c.symbol
    event.quantity = n

# ---- what ends by the clock

cdef inline void expire(Core* core) noexcept nogil:
    """All that is due at the time of this record."""
    cdef uint32_t number, n = 0
    while core.expiring_count != 0 and next_expiry(core) <= core.time_ns:
        number = core.expiring[0]
        leave(core, number)
        report_cancelled(core, &core.orders[number], EXPIRED)
        free_order(core, number)
        n += 1
    emit(core, EV_ORDERS_EXPIRED).quantity = n

# ---- halt, resume, roll, rules

cdef inline void set_halted(Core* core, const Command* c, bint halted) noexcept nogil:
    cdef Event* event
    core.halted = halted
    event = emit(core, EV_HALTED if halted else EV_RESUMED)
    event.account = c.account
    event.symbol = c.symbol
    copy_text(event, c)

cdef inline void roll_client_ids(Core* core, const Command* c) noexcept nogil:
    cdef Event* event
    roll_ids(core)
    event = emit(core, EV_CLIENT_IDS_ROLLED)
    event.account = c.account
    event.symbol = c.symbol

cdef inline void adopt_rules(Core* core, const Command* c) noexcept nogil:
    cdef Event* event
    if c.quantity <= <int64_t>core.rules or c.quantity > RULES_VERSION:
        refuse(core, c, BAD_FIELD)
        return
    set_rules(core, <uint32_t>c.quantity)
    event = emit(core, EV_RULES_ADOPTED)
    event.quantity = c.quantity

# ---- definitions; False: no memory, and nothing has changed

cdef inline void book_free(Book* book) noexcept nogil:
    if book != NULL:
        release(book.levels, WINDOW_TICKS * sizeof(Level))
        release(book, sizeof(Book))

cdef inline Book* book_make(const Command* definition) noexcept nogil:
    """Reserves address space for the whole window; a page of it costs memory once a price in it was used."""
    cdef Book* book = <Book*>reserve(sizeof(Book))
    if book == NULL:
        return NULL
    book.levels = <Level*>reserve(WINDOW_TICKS * sizeof(Level))
    if book.levels == NULL:
        book_free(book)
        return NULL
    keep_pages_small(book, sizeof(Book))
    keep_pages_small(book.levels, WINDOW_TICKS * sizeof(Level))
    book.base_ticks = definition.target
    book.definition = definition[0]
    book.open = definition.tif == OPEN
    book.sides[0].best = book.sides[1].best = EMPTY_SIDE
    return book

cdef inline void bare_definition(const Command* c, Command* bare) noexcept nogil:
    """The command without what is no part of the definition: token, spares, bytes behind the name."""
    memset(bare, 0, sizeof(Command))
    bare.kind = DEFINE_INSTRUMENT
    bare.side = c.side
    bare.type = c.type
    bare.tif = c.tif
    bare.text_length = <unsigned char>text_length(c)
    bare.symbol = c.symbol
    bare.price = c.price
    bare.quantity = c.quantity
    bare.target = c.target
    bare.extra = c.extra
    memcpy(bare.text, c.text, text_length(c))

cdef inline bint same_but_state(const Command* known, const Command* given) noexcept nogil:
    cdef Command changed = known[0]
    changed.tif = given.tif
    return memcmp(&changed, given, sizeof(Command)) == 0

cdef inline bint add_book(Core* core, const Command* bare) noexcept nogil:
    cdef uint32_t capacity
    cdef Book** grown
    cdef Book* book
    if core.symbols == core.symbols_capacity:
        capacity = 2 * core.symbols_capacity + 16
        grown = <Book**>realloc(core.books, capacity * sizeof(Book*))
        if grown == NULL:
            return False
        core.books = grown
        core.symbols_capacity = capacity
    book = book_make(bare)
    if book == NULL:
        return False
    core.books[core.symbols] = book
    core.symbols += 1
    return True

cdef inline bint define_instrument(Core* core, const Command* c) noexcept nogil:
    cdef Command bare
    cdef Book* book
    cdef Event* event
    cdef bint valid = ((c.tif == OPEN or c.tif == HALTED_STATE) and c.side <= SCALE_MAX and c.type <= SCALE_MAX
                       and c.price >= 1 and c.quantity >= 1 and 0 <= c.target <= PRICE_TICKS_MAX
                       and c.text_length >= 1)
    bare_definition(c, &bare)
    if valid and c.symbol == core.symbols + 1:
        if not add_book(core, &bare):
            return False
    elif valid and 1 <= c.symbol <= core.symbols and same_but_state(&core.books[c.symbol - 1].definition, &bare):
        book = core.books[c.symbol - 1]
        book.definition = bare
        book.open = bare.tif == OPEN
    else:
        refuse(core, c, BAD_FIELD)
        return True
    event = emit(core, EV_INSTRUMENT_DEFINED)
    event.price = c.price
    event.quantity = c.quantity
    event.leaves = c.target
    event.trade = c.extra
    event.symbol = c.symbol
    event.side = c.side
    event.type = c.type
    event.tif = c.tif
    copy_text(event, c)
    return True

cdef inline bint define_account(Core* core, const Command* c) noexcept nogil:
    cdef uint32_t capacity
    cdef Account* grown
    cdef Account* account
    cdef Event* event
    if c.account != core.accounts_count + 1 or c.text_length == 0:
        refuse(core, c, BAD_FIELD)
        return True
    if core.accounts_count == core.accounts_capacity:
        capacity = 2 * core.accounts_capacity + 16
        grown = <Account*>realloc(core.accounts, capacity * sizeof(Account))
        if grown == NULL:
            return False
        core.accounts = grown
        core.accounts_capacity = capacity
    account = &core.accounts[core.accounts_count]
    core.accounts_count += 1
    memset(account, 0, sizeof(Account))
    account.length = text_length(c)
    memcpy(account.name, c.text, text_length(c))
    event = emit(core, EV_ACCOUNT_DEFINED)
    event.account = c.account
    copy_text(event, c)
    return True
