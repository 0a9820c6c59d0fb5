# Table of contents: every structure of the engine. `Core` owns all memory below; core.pxd makes and frees it.
#
# Orders are named by 32-bit numbers into one pool, not by pointers: half the size. Number 0 means "none".
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from engine.layout cimport Command, Event

cdef enum:
    MID_WORDS = 4096            # WINDOW_WORDS / 64
    HIGH_WORDS = 64
    FAR_LEVELS = 1024           # FAR_LEVELS_MAX, as an array size

cdef struct Order:              # 64 bytes, one cache line
    uint32_t next, prev         # in the queue of its price, 0 at the ends; of a free order: the next free one
    uint32_t account, symbol
    uint64_t sequence           # of its NEW command; 0: this place is free
    int64_t price               # ticks; 0 for a market order
    int64_t quantity            # lots, fills included
    int64_t leaves              # lots, > 0 while it rests
    uint64_t last_event         # 1 + ordinal of its newest event
    uint8_t side, type, tif, flags
    uint32_t id_place           # where its client_order_id stands: 1 + slot, OLDER_BIT for table 1; 0: it has none

cdef struct Level:              # one price with orders; garbage while its bit is clear
    uint32_t head, tail         # oldest and newest order
    uint32_t count              # orders
    uint32_t lots_high          # open lots, 96 bits: 2**32 orders of 2**53 lots fit
    uint64_t lots_low

cdef struct FarLevel:           # a price outside the dense window
    int64_t key
    Level level

cdef struct BookSide:
    int64_t best                # highest key with orders, or EMPTY_SIDE
    uint32_t far_count
    FarLevel far[FAR_LEVELS]    # ascending by key
    uint64_t top                # bitmaps over keys: a bit is set when the word below has a bit set
    uint64_t high[HIGH_WORDS]
    uint64_t mid[MID_WORDS]
    uint64_t leaf[262144]       # WINDOW_WORDS; a bit is set when the level of that key has orders

cdef struct Book:
    int64_t base_ticks          # price of tick 0 of the window
    bint open
    Level* levels               # WINDOW_TICKS of them, both sides in one array: a price never rests on both
    Command definition          # as it stands in the state hash: no token, no spares
    BookSide sides[2]           # buy, sell

cdef struct Account:
    uint32_t length
    uint8_t name[44]

cdef struct IdEntry:            # 32 bytes
    uint64_t key[2]             # keyed hash of kind, account, symbol and id
    uint64_t body               # keyed hash of the command's body
    uint64_t stamp              # generation << SEQUENCE_BITS | sequence; of another generation: the slot is vacant

cdef struct IdTable:            # open addressing, linear probing, nothing is ever removed but everything at once
    IdEntry* entries
    uint64_t slots
    uint64_t count
    uint64_t limit              # grows when count would pass it
    uint32_t generation         # 1 .. GENERATION_LAST

cdef struct Core:
    # what the state hash covers
    uint64_t sequence           # of the last command applied
    uint64_t ordinal            # events emitted so far
    uint64_t trades
    bint halted
    uint32_t rules              # in force: 1 at first, ADOPT_RULES raises them
    uint8_t order_flags         # that a NEW may carry under them
    uint8_t times_in_force      # and the last of those
    Book** books                # of symbol 1, 2, ...
    uint32_t symbols, symbols_capacity
    Account* accounts           # account 1, 2, ...
    uint32_t accounts_count, accounts_capacity
    # orders
    Order* orders               # number 0 is never used
    uint32_t live, max_live_orders
    uint32_t free_head          # most recently freed: still in the near cache
    uint32_t fresh              # numbers from here on were never used
    uint64_t* index             # sequence -> number: hash's upper 32 bits << 32 | number; 0: vacant
    uint64_t index_mask         # slots - 1
    uint32_t index_shift        # 64 - log2(slots)
    uint64_t* selection         # room for the sequences of all live orders
    # what ends by the clock: a heap of numbers, soonest first, and by number when and where in it
    uint32_t* expiring          # [0] is the next one
    uint32_t expiring_count
    uint64_t* expires_ns        # garbage for orders that do not end by the clock
    uint32_t* expiring_place
    # ids of clients
    IdTable ids[2]
    uint32_t younger            # which of the two
    uint64_t secret[2]          # per process: nobody can aim at a slot
    bint faulted_in             # the tables are to be: by core_fault_in(), and when they grow
    char tables_held            # lock_tables(): another thread may be faulting them in
    # the running apply
    uint64_t time_ns
    uint32_t event_index
    Event* events
    uint64_t events_used, events_capacity
    bint broken                 # memory ran out: nothing more is applied
