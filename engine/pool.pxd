# Orders by number, and numbers by sequence.
#
# The pool hands out the number freed last: its cache line is still near. The index is open addressing with linear
# probing and eight slots to a cache line; a slot keeps the upper half of the hash, which tells most strangers apart
# and names the slot's home, so that erasing never reads an order.
#
# Always true: live orders == index entries; at least three eighths of the index are vacant (sized at creation, never grown).
from libc.stdint cimport uint32_t, uint64_t
from engine.layout cimport FIBONACCI, LIKELY
from engine.types cimport Core, Order

cdef inline Order* order_at(Core* core, uint32_t number) noexcept nogil:
    return &core.orders[number]

cdef inline uint64_t home_slot(Core* core, uint64_t sequence) noexcept nogil:
    return (sequence * FIBONACCI) >> core.index_shift

cdef inline uint32_t find_order(Core* core, uint64_t sequence) noexcept nogil:
    """Number of a live order, or 0."""
    cdef uint64_t hashed = sequence * FIBONACCI, slot = hashed >> core.index_shift, entry
    while True:
        entry = core.index[slot]
        if entry == 0:
            return 0
        if (entry ^ hashed) >> 32 == 0 and LIKELY(core.orders[<uint32_t>entry].sequence == sequence):
            return <uint32_t>entry
        slot = (slot + 1) & core.index_mask

cdef inline void index_order(Core* core, uint64_t sequence, uint32_t number) noexcept nogil:
    cdef uint64_t hashed = sequence * FIBONACCI, slot = hashed >> core.index_shift
    while core.index[slot] != 0:
        slot = (slot + 1) & core.index_mask
    core.index[slot] = (hashed >> 32 << 32) | number

cdef inline void unindex_order(Core* core, uint64_t sequence, uint32_t number) noexcept nogil:
    # The gap is closed by pulling later entries of the run back, so that probes stay short however much is cancelled.
    # Distances are modulo the table: a run may wrap past its end.
    cdef uint64_t hashed = sequence * FIBONACCI, gap = hashed >> core.index_shift, slot, entry
    cdef uint64_t wanted = (hashed >> 32 << 32) | number
    while core.index[gap] != wanted:
        gap = (gap + 1) & core.index_mask
    slot = gap
    while True:
        slot = (slot + 1) & core.index_mask
        entry = core.index[slot]
        if entry == 0:
            break
        if ((slot - (entry >> core.index_shift)) & core.index_mask) >= ((slot - gap) & core.index_mask):
            core.index[gap] = entry
            gap = slot
    core.index[gap] = 0

cdef inline uint32_t take_order(Core* core) noexcept nogil:
    """A number for a new resting order. There is one: `live < max_live_orders` was asked before the command acted."""
    cdef uint32_t number = core.free_head
    if LIKELY(number != 0):
        core.free_head = core.orders[number].next
    else:
        number = core.fresh
        core.fresh += 1
    core.live += 1
    return number

cdef inline void free_order(Core* core, uint32_t number) noexcept nogil:
    core.orders[number].sequence = 0
    core.orders[number].next = core.free_head
    core.free_head = number
    core.live -= 1
