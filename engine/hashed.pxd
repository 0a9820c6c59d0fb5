# The bytes of resting orders as the state hash takes them (state.py), many queues walked at once.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from engine.expiry cimport by_the_clock
from engine.ladder cimport key_below, level_at
from engine.layout cimport EMPTY_SIDE, FIBONACCI, PREFETCH
from engine.types cimport Book, Core, Level, Order

cdef struct HashedOrder:    # state.ORDER
    uint64_t sequence
    int64_t price, quantity, leaves
    uint64_t last_event
    uint32_t account, symbol
    uint8_t kinds[4]
    uint32_t ends           # half a hash of when; 0 where not by the clock

cdef struct Walk:
    uint32_t number         # of the order that comes next
    uint32_t left           # in its queue, by what its level says
    HashedOrder* out

cdef enum:
    WALKS = 16              # queues walked at once: each step of one waits for memory

cdef inline void fill_hashed(Core* core, HashedOrder* hashed, uint32_t number) noexcept nogil:
    cdef const Order* order = &core.orders[number]
    hashed.sequence = order.sequence
    hashed.price = order.price
    hashed.quantity = order.quantity
    hashed.leaves = order.leaves
    hashed.last_event = order.last_event
    hashed.account = order.account
    hashed.symbol = order.symbol
    hashed.kinds[0] = order.side
    hashed.kinds[1] = order.type
    hashed.kinds[2] = order.tif
    hashed.kinds[3] = order.flags
    hashed.ends = <uint32_t>(core.expires_ns[number] * FIBONACCI >> 32) if by_the_clock(order) else 0

cdef inline uint64_t walk_levels(Core* core, Book* book, uint32_t s, int64_t* key, HashedOrder* hashed, uint64_t room) noexcept nogil:
    """The orders of as many levels as there is room for, best first and oldest first; `key` moves on to the next level.
    Returns how many; 0: a queue has not as many as its level says."""
    cdef Walk walks[WALKS]
    cdef Walk* walk
    cdef Level* level
    cdef Order* order
    cdef uint64_t n = 0
    cdef uint32_t used = 0, going, w
    while key[0] != EMPTY_SIDE and used < WALKS:
        level = level_at(book, s, key[0])
        if n + level.count > room:
            break
        walks[used].number = level.head
        walks[used].left = level.count
        walks[used].out = hashed + n
        PREFETCH(&core.orders[level.head])
        n += level.count
        used += 1
        key[0] = key_below(&book.sides[s], key[0])
    going = used
    while going != 0:
        going = 0
        for w in range(used):
            walk = &walks[w]
            if walk.number == 0 or walk.left == 0:
                if walk.number != 0 or walk.left != 0:
                    return 0
                continue
            order = &core.orders[walk.number]
            fill_hashed(core, walk.out, walk.number)
            PREFETCH(&core.orders[order.next])
            walk.number = order.next
            walk.left -= 1
            walk.out += 1
            going += 1
    return n
