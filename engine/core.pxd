# Making and freeing a Core, and the loop over records. Everything the hot path may need is reserved here, before it runs.
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from engine.administration cimport (
    adopt_rules, book_free, define_account, define_instrument, expire, mass_cancel, roll_client_ids, set_halted,
)
from engine.client_ids cimport grow_ids, table_make
from engine.events cimport refuse
from engine.invariants cimport first_broken
from engine.layout cimport (
    ADOPT_RULES, BAD_FIELD, CANCEL, CHECK_EVERY_COMMAND, Command, DEFINE_ACCOUNT, DEFINE_INSTRUMENT, EXPIRE, Event, HALT, HIGH_BIT,
    LIKELY, MASS_CANCEL, NEW, REPLACE, RESUME, ROLL_CLIENT_IDS, Record, UNLIKELY, fault_in, lock_tables, make_ready,
    release, reserve, unlock_tables,
)
from engine.lookahead cimport FAR, MIDDLE, NEAR, look_far, look_middle, look_near
from engine.orders cimport cancel_order, new_order, replace_order
from engine.rules cimport set_rules
from engine.types cimport Core, IdEntry, Order

cdef enum:
    LIVE_ORDERS_LIMIT = 1 << 30     # of max_live_orders; numbers have 32 bits
    EVENTS_BEYOND_FILLS = 3         # a command causes at most two events per live order, and these
    EVENTS_PREFAULTED = 1 << 13
    FAULT_IN_BYTES = 2 << 20

cdef inline void core_free(Core* core) noexcept nogil:
    cdef uint32_t i
    if core == NULL:
        return
    for i in range(core.symbols):
        book_free(core.books[i])
    free(core.books)
    free(core.accounts)
    free(core.events)
    release(core.orders, (<uint64_t>core.max_live_orders + 1) * sizeof(Order))
    release(core.index, (core.index_mask + 1) * sizeof(uint64_t))
    release(core.expiring, (<uint64_t>core.max_live_orders + 1) * sizeof(uint32_t))
    release(core.expires_ns, (<uint64_t>core.max_live_orders + 1) * sizeof(uint64_t))
    release(core.expiring_place, (<uint64_t>core.max_live_orders + 1) * sizeof(uint32_t))
    release(core.selection, (<uint64_t>core.max_live_orders + 1) * sizeof(uint64_t))
    for i in range(2):
        release(core.ids[i].entries, core.ids[i].slots * sizeof(IdEntry))
    free(core)

cdef inline Core* core_make(
    uint32_t max_live_orders, uint32_t client_ids_max, const uint64_t* secret, bint faulted_in
) noexcept nogil:
    """NULL: no memory. What a full engine needs is reserved; books and events come as they are used, and the tables too
    unless core_fault_in() is called."""
    cdef Core* core = <Core*>calloc(1, sizeof(Core))
    cdef uint64_t numbers = <uint64_t>max_live_orders + 1, slots = 64, id_slots, with_live
    if core == NULL:
        return NULL
    while slots * 5 < numbers * 8:
        slots *= 2
    core.faulted_in = faulted_in
    core.max_live_orders = max_live_orders
    core.fresh = 1
    set_rules(core, 1)
    core.index_mask = slots - 1
    core.index_shift = 64 - <uint32_t>HIGH_BIT(slots)
    core.secret[0] = secret[0]
    core.secret[1] = secret[1]
    # Two thirds full at client_ids_max; five sixths with the ids of all live orders carried over as well.
    id_slots = <uint64_t>client_ids_max * 3 // 2
    with_live = (<uint64_t>client_ids_max + max_live_orders) * 6 // 5
    id_slots = 64 + (with_live if with_live > id_slots else id_slots)
    core.orders = <Order*>reserve(numbers * sizeof(Order))
    core.index = <uint64_t*>reserve(slots * sizeof(uint64_t))
    core.selection = <uint64_t*>reserve(numbers * sizeof(uint64_t))
    core.expiring = <uint32_t*>reserve(numbers * sizeof(uint32_t))
    core.expires_ns = <uint64_t*>reserve(numbers * sizeof(uint64_t))
    core.expiring_place = <uint32_t*>reserve(numbers * sizeof(uint32_t))
    core.events_capacity = 2 * numbers + EVENTS_PREFAULTED
    core.events = <Event*>realloc(NULL, core.events_capacity * sizeof(Event))
    if (core.orders == NULL or core.index == NULL or core.selection == NULL or core.events == NULL
            or core.expiring == NULL or core.expires_ns == NULL or core.expiring_place == NULL
            or not table_make(&core.ids[0], id_slots, faulted_in)
            or not table_make(&core.ids[1], id_slots, faulted_in)):
        core_free(core)
        return NULL
    make_ready(core.orders, numbers * sizeof(Order), faulted_in)
    make_ready(core.index, slots * sizeof(uint64_t), faulted_in)
    if faulted_in:
        fault_in(core.events, EVENTS_PREFAULTED * sizeof(Event))
    return core

cdef inline bint fault_in_step(Core* core, uint32_t which, uint64_t at) noexcept nogil:
    """Of the orders, their index or a table of ids; False: it ends before that step."""
    cdef char* table
    cdef uint64_t size
    lock_tables(&core.tables_held)
    if which == 0:
        table, size = <char*>core.orders, (<uint64_t>core.max_live_orders + 1) * sizeof(Order)
    elif which == 1:
        table, size = <char*>core.index, (core.index_mask + 1) * sizeof(uint64_t)
    else:
        table, size = <char*>core.ids[which - 2].entries, core.ids[which - 2].slots * sizeof(IdEntry)
    if at < size:
        fault_in(table + at, size - at if size - at < FAULT_IN_BYTES else FAULT_IN_BYTES)
    unlock_tables(&core.tables_held)
    return at < size

cdef inline void core_fault_in(Core* core) noexcept nogil:
    """Real memory for every table, in steps. From any thread: what stands in them stays, and others work on them meanwhile."""
    cdef uint32_t which
    cdef uint64_t at
    if not core.faulted_in:
        return
    for which in range(4):
        at = 0
        while fault_in_step(core, which, at):
            at += FAULT_IN_BYTES

cdef inline bint make_room(Core* core, const Command* command) noexcept nogil:
    """For the most events and ids this command can cause. False: no memory, and nothing has changed."""
    cdef uint64_t events = core.events_used + 2 * <uint64_t>core.live + EVENTS_BEYOND_FILLS, capacity
    cdef uint64_t ids = core.ids[core.younger].count + 1
    cdef Event* grown
    if UNLIKELY(events > core.events_capacity):
        capacity = events if events > 2 * core.events_capacity else 2 * core.events_capacity
        grown = <Event*>realloc(core.events, capacity * sizeof(Event))
        if grown == NULL:
            return False
        core.events = grown
        core.events_capacity = capacity
    if UNLIKELY(command.kind == ROLL_CLIENT_IDS):
        ids += core.live
    while UNLIKELY(ids > core.ids[core.younger].limit):
        if not grow_ids(core, core.younger):
            return False
    return True

cdef inline bint apply_record(Core* core, const Record* record) noexcept nogil:
    cdef const Command* command = &record.command
    if UNLIKELY(not make_room(core, command)):
        return False
    core.sequence += 1
    core.time_ns = record.time_ns
    core.event_index = 0
    if LIKELY(command.kind == NEW):
        new_order(core, command)
    elif command.kind == CANCEL:
        cancel_order(core, command)
    elif command.kind == REPLACE:
        replace_order(core, command)
    elif command.kind == MASS_CANCEL:
        mass_cancel(core, command)
    elif command.kind == HALT or command.kind == RESUME:
        set_halted(core, command, command.kind == HALT)
    elif command.kind == DEFINE_INSTRUMENT:
        return define_instrument(core, command)
    elif command.kind == DEFINE_ACCOUNT:
        return define_account(core, command)
    elif command.kind == ROLL_CLIENT_IDS:
        roll_client_ids(core, command)
    elif command.kind == ADOPT_RULES:
        adopt_rules(core, command)
    elif command.kind == EXPIRE and core.rules >= 3:
        expire(core)
    else:
        refuse(core, command, BAD_FIELD)
    return True

cdef inline uint64_t first_out_of_order(Core* core, const Record* records, uint64_t n) noexcept nogil:
    """Index of the first record whose sequence does not follow; n when all do."""
    cdef uint64_t i
    for i in range(n):
        if records[i].sequence != core.sequence + 1 + i:
            return i
    return n

cdef inline uint64_t apply_records(Core* core, const Record* records, uint64_t n) noexcept nogil:
    """Returns how many were applied: fewer than n only when memory ran out, and then for good. The events stand in
    core.events[: core.events_used] until the next call."""
    cdef uint64_t i
    core.events_used = 0
    if UNLIKELY(core.broken):
        return 0
    for i in range(n):
        if i + FAR < n:                 # never past the buffer
            look_far(core, &records[i + FAR])
        if i + MIDDLE < n:
            look_middle(core, &records[i + MIDDLE])
        if i + NEAR < n:
            look_near(core, &records[i + NEAR])
        if UNLIKELY(not apply_record(core, &records[i])):
            core.broken = True
            return i
        if CHECK_EVERY_COMMAND and first_broken(core, False) != NULL:
            core.broken = True
            return i
    return n
