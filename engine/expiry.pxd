# Orders that end by the clock (DAY, GTT): a heap of their numbers, soonest first and then by sequence, so that what is due is
# found in one step and an order that leaves costs log n. Memory for all orders is reserved and none of it touched until such
# an order comes.
#
# Always true: exactly the live orders with DAY or GTT are in the heap; each knows its place; none is sooner than the one above.
from libc.stdint cimport uint32_t, uint64_t
from engine.layout cimport Command, DAY, DAY_NS, GTT
from engine.types cimport Core, Order

cdef inline bint by_the_clock(const Order* order) noexcept nogil:
    return order.tif >= DAY

cdef inline uint64_t expiry_of(const Command* c, uint64_t time_ns) noexcept nogil:
    """When a NEW of this record's time ends."""
    return c.extra if c.tif == GTT else (time_ns // DAY_NS + 1) * DAY_NS

cdef inline uint64_t next_expiry(const Core* core) noexcept nogil:
    """0: nothing ends by the clock."""
    return core.expires_ns[core.expiring[0]] if core.expiring_count != 0 else 0

cdef inline bint sooner(const Core* core, uint32_t one, uint32_t other) noexcept nogil:
    if core.expires_ns[one] != core.expires_ns[other]:
        return core.expires_ns[one] < core.expires_ns[other]
    return core.orders[one].sequence < core.orders[other].sequence

cdef inline void put_at(Core* core, uint32_t place, uint32_t number) noexcept nogil:
    core.expiring[place] = number
    core.expiring_place[number] = place

cdef inline void settle(Core* core, uint32_t place, uint32_t number) noexcept nogil:
    """Up or down from a place that is free, to where it belongs."""
    cdef uint32_t above, below, count = core.expiring_count
    while place != 0:
        above = (place - 1) >> 1
        if not sooner(core, number, core.expiring[above]):
            break
        put_at(core, place, core.expiring[above])
        place = above
    while True:
        below = 2 * place + 1
        if below >= count:
            break
        if below + 1 < count and sooner(core, core.expiring[below + 1], core.expiring[below]):
            below += 1
        if not sooner(core, core.expiring[below], number):
            break
        put_at(core, place, core.expiring[below])
        place = below
    put_at(core, place, number)

cdef inline void schedule(Core* core, uint32_t number, uint64_t expires_ns) noexcept nogil:
    core.expires_ns[number] = expires_ns
    core.expiring_count += 1
    settle(core, core.expiring_count - 1, number)

cdef inline void unschedule(Core* core, uint32_t number) noexcept nogil:
    """Before its place in the pool is given away: the order is still compared."""
    cdef uint32_t place = core.expiring_place[number], last
    core.expiring_count -= 1
    last = core.expiring[core.expiring_count]
    if last != number:
        settle(core, place, last)

cdef inline const char* broken_expiry(Core* core) noexcept nogil:
    cdef uint32_t place, number, expected = 0
    for place in range(core.expiring_count):
        number = core.expiring[place]
        if number == 0 or number >= core.fresh or core.orders[number].sequence == 0 or not by_the_clock(&core.orders[number]):
            return b"something else than a live order that ends by the clock is to end"
        if core.expiring_place[number] != place:
            return b"an order does not know when its turn to end is"
        if place != 0 and sooner(core, number, core.expiring[(place - 1) >> 1]):
            return b"orders do not end in their order"
    for number in range(1, core.fresh):
        expected += core.orders[number].sequence != 0 and by_the_clock(&core.orders[number])
    if expected != core.expiring_count:
        return b"an order that ends by the clock is not to end"
    return NULL
